"""Which sentence of an article is its summary: the model is asked about no more sentences than it takes to know.

Whether a sentence is whole, true and the article's lead, and how central it is, is known without the model, and no
log-probability is greater than 0. A sentence that would not win even then is not scored, and an article whose sentences
leave nothing to ask is not even read by the model. The summary is the one that scoring all of them would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedModel

from trainer.data.encoding import Encoded
from trainer.models.likelihood import log_prob_reader
from trainer.summarizers.base import Summary
from trainer.summarizers.choice import Contender, best_of, contenders

Ids = Sequence[int]


@dataclass(frozen=True)
class Question:
    """An article and its sentences that can be its summary.

    Attributes:
        article: its ids, with prefix and end token.
        ids: of each sentence, with its end token.
        contenders: those of the sentences that may win, in their order.
    """

    article: Ids
    ids: dict[str, Ids]
    contenders: list[Contender]

    @classmethod
    def of(cls, source: str, encoded: Encoded, sentences: Sequence[tuple[str, Ids]]) -> "Question":
        """
        Args:
            source: the whole article, also what of it was not read.
            encoded: what is read of it.
            sentences: with their ids.
        """
        summaries = [
            Summary(text, None, len(encoded.ids), encoded.total, len(ids)) for text, ids in dict(sentences).items()
        ]
        return cls(encoded.ids, dict(sentences), contenders(summaries, source))


def best_sentences(model: PreTrainedModel, questions: Sequence[Question], scored: bool) -> list[Summary]:
    """The summary of each article, with the mean log-probability of its tokens, in nats, as its score.

    Args:
        model: of the T5 family.
        scored: also where the summary is known without the model; otherwise its score is then None.
    """
    best = [one.contenders[0].summary for one in questions]
    places = [place for place, one in enumerate(questions) if scored or len(one.contenders) > 1]
    if not places:
        return best
    asked = [questions[place] for place in places]
    log_probs = log_prob_reader(model, [one.article for one in asked])

    def with_scores(chosen: list[list[Contender]]) -> list[list[Contender]]:
        ids = [[one.ids[c.summary.text] for c in own] for one, own in zip(asked, chosen, strict=True)]
        return [
            [
                replace(c, summary=replace(c.summary, score=log_prob / len(text)))
                for c, text, log_prob in zip(own, texts, sums, strict=True)
            ]
            for own, texts, sums in zip(chosen, ids, log_probs(ids), strict=True)
        ]

    # First the one that would win if all were equally probable, then all that may still be better.
    leaders = with_scores([[max(one.contenders, key=lambda c: c.total(0.0))] for one in asked])
    rivals = with_scores([_rivals(one, *leader) for one, leader in zip(asked, leaders, strict=True)])
    for place, leader, others in zip(places, leaders, rivals, strict=True):
        order = {c.summary.text: number for number, c in enumerate(questions[place].contenders)}
        best[place] = best_of(sorted([*leader, *others], key=lambda c: (-c.summary.score, order[c.summary.text])))
    return best


def _rivals(question: Question, leader: Contender) -> list[Contender]:
    """The contenders that could be better than the leader, or as good."""
    to_beat = leader.total(leader.summary.score)
    return [c for c in question.contenders if c.summary.text != leader.summary.text and c.total(0.0) >= to_beat]
