"""How sure the model was of each word of its summary."""

import math
from typing import TYPE_CHECKING

from space.markup import escape

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from trainer.attribution.certainty import Certainty, WordProbability

DOUBTFUL = 0.5  # below this probability another word was as probable or more
NAMED = 3  # alternatives of a word


def certainty(found: "Certainty") -> str:
    """The summary with its doubtful words marked, and a row for each word: probability, entropy, alternatives."""
    probabilities = [math.exp(word.log_prob) for word in found.words]
    doubtful = sum(one < DOUBTFUL for one in probabilities)
    text = " ".join(
        f'<mark class="unsure">{escape(word.text)}</mark>' if one < DOUBTFUL else escape(word.text)
        for word, one in zip(found.words, probabilities, strict=True)
    )
    rows = "".join(_row(word, one) for word, one in zip(found.words, probabilities, strict=True))
    share = f"{doubtful} of {len(found.words)} words" if doubtful else "no word"
    return (
        f'<div class="certainty"><p class="short-summary" dir="auto">{text}</p>'
        f"<p>It gave {share} a probability under 50% (marked). A probability says how well a word fits what the model "
        "learnt, not whether it is true.</p>"
        '<div class="all-words" tabindex="0" role="region" aria-label="How sure the model was of each word"><table>'
        '<thead><tr><th scope="col">Word</th><th scope="col">Probability</th>'
        '<th scope="col"><abbr title="How open the choice was: 0 nats where one token had all the probability">Entropy'
        '</abbr></th><th scope="col">It might have begun with</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
    )


def _row(word: "WordProbability", probability: float) -> str:
    kind = ' class="unsure"' if probability < DOUBTFUL else ""
    return (
        f'<tr{kind}><th scope="row" dir="auto">{escape(word.text)}</th>'
        f'<td class="share"><i style="--w:{100 * probability:.1f}%" aria-hidden="true"></i>{percent(probability)}</td>'
        f'<td>{word.entropy:.2f}</td><td class="others" dir="auto">{_alternatives(word)}</td></tr>'
    )


def _alternatives(word: "WordProbability") -> str:
    """The most probable tokens in the place of the word's first one, that one aside."""
    if not word.tokens:
        return ""
    first = word.tokens[0]
    others = [one for one in first.alternatives if one[0] != first.text][:NAMED]
    return ", ".join(f"{escape(text.strip() or 'the end')} {percent(probability)}" for text, probability in others)


def percent(share: float) -> str:
    """A probability as a percentage, as HTML: "< 1%" rather than 0%, and "> 99%" rather than 100%."""
    if share < 0.01:
        return "&lt; 1%"
    return "&gt; 99%" if share > 0.99 else f"{share:.0%}"
