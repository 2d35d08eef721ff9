"""What a visitor asks about a summary that is there: how sure it was, what becomes of it when the article changes, and
what other methods say of its words.

Each generator yields parts of the page by their names, as in `space.answering`; what goes wrong ends in a sentence in
the place of the result.
"""

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

from space import limits
from space.answering import Parts, Shown, article_parts, sentence, told
from space.views import certainty as certainty_view
from space.views import methods as methods_view
from space.views.changed import asked_again, with_typos
from space.views.copied import copied_map
from space.views.methods import Finding
from space.views.notices import notice
from space.views.summary import chose
from trainer.errors import UserError

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Engine

T = TypeVar("T")
# What a visitor may have explained: the summary, its reference, or any other text.
TEXTS = ("summary", "reference", "other")
OWN = "own"
ALL = 0  # layers or heads
BASELINES = (OWN, "pad", "zero", "mean")
# Methods whose baseline can be chosen.
WITH_BASELINE = ("integrated_gradients", "input_x_gradient", "gradient_shap")
SEED = 0  # of the typos: the same share gives the same typos


def certainty(shown: Shown | None) -> Iterator[Parts]:
    """How sure the model was of each word of its summary."""
    if not _has_summary(shown):
        return
    try:
        found = shown.engine.word_probabilities(shown.article, shown.answer.text)
        yield {"certainty": certainty_view.certainty(found)}
    except Exception as error:
        yield {"certainty": notice(sentence(error), "problem")}


def strike(shown: Shown | None, sentences: Any, words: Any) -> Iterator[Parts]:
    """The article without some of its sentences or words, summarised again."""
    if not _has_summary(shown):
        return
    yield {"again": notice("Asking again…", "busy"), "busy": True}
    engine, article, summary = shown.engine, shown.article, shown.answer.text
    try:
        numbers = {"sentences": limits.numbers(sentences, "sentences"), "words": limits.numbers(words, "words")}
        if not any(numbers.values()):
            raise UserError("Tick a sentence of the article first: it is struck out, and the model is asked again.")
        found = yield from told(
            "again",
            "Asking again",
            lambda progress, waiting: engine.without(
                article, summary, shown.settings, progress=progress, waiting=waiting, **numbers
            ),
        )
        yield {"again": asked_again(found, chose(shown.answer)), "busy": False}
    except Exception as error:
        yield {"again": notice(sentence(error), "problem"), "busy": False}


def noise(shown: Shown | None, percent: Any) -> Iterator[Parts]:
    """The summary of the article with typos in so many per cent of its letters, beside that of the clean one."""
    from space.comparison import score
    from trainer.attribution.deletion import changes
    from trainer.data.noise import typos

    if not _has_summary(shown):
        return
    try:
        share = limits.TYPOS.check(percent) / 100
        if not share:
            yield {"noisy": "", "noisy_progress": ""}
            return
        article = typos(shown.article, share, random.Random(SEED)).text
        answer = yield from told(
            "noisy_progress",
            "Summarising the article with typos",
            lambda _, waiting: shown.engine.summarize(article, shown.settings, waiting),
        )
        against = [("the summary above", shown.answer.text)]
        if shown.reference:
            against.append(("the reference", shown.reference))
        view = with_typos(
            answer,
            article,
            copied_map(answer.text, article),
            tuple(changes(shown.answer.text, answer.text)),
            [(name, _scores(score, answer.text, text)) for name, text in against],
        )
        yield {"noisy": view, "noisy_progress": ""}
    except Exception as error:
        yield {"noisy": notice(sentence(error), "problem"), "noisy_progress": ""}


def _scores(score: Any, text: str, other: str) -> dict[str, float] | None:
    """F1 by ROUGE type; None where ROUGE finds no word in one of the texts."""
    try:
        return {kind: one["fmeasure"] for kind, one in score(text, other).items() if kind != "signatures"}
    except UserError:
        return None


def methods(
    shown: Shown | None,
    names: Any,
    baseline: Any,
    which: Any,
    typed: Any,
    shuffles: Any = False,
    layer: Any = ALL,
    head: Any = ALL,
) -> Iterator[Parts]:
    """Several attribution methods for one text: their strongest words, whether these matter, and how alike they are.

    The first method's scores tint the article, until another is chosen (`tint`).

    Args:
        names: of `trainer.attribution.registry.METHODS`.
        baseline: one of `BASELINES`.
        which, typed: the text that is explained: one of `TEXTS`, and what was typed where that is "other".
        shuffles: whether to compare each method's scores with those of the same model, its weights shuffled.
        layer, head: of the cross-attention, from 1; `ALL`: the mean.
    """
    if not _has_summary(shown):
        return
    yield {"methods": notice("Comparing methods…", "busy"), "busy": True}
    engine, article = shown.engine, shown.article
    try:
        text = _text(shown, which, typed)
        if not names:
            raise UserError("Choose a method first, or several to compare them.")
        done: list[Finding] = []
        for key in names:
            settings = {"baseline": baseline} if baseline != OWN and key in WITH_BASELINE else {}
            name = key
            if key == "attention":
                settings, chosen = _attention(engine, layer, head)
                name = f"{key}, {chosen}"
            asked = {"method": key, **settings}
            found = yield from _told(name, lambda report, asked=asked: engine.sources(article, text, **asked, **report))
            if not done:
                shown = shown.tinted(found.spans, by=name, compared=())
                yield article_parts(shown) | {"shown": shown}
            sanity = None
            if shuffles:
                sanity = yield from _told(
                    f"{name}, with shuffled weights",
                    lambda report, asked=asked: engine.sanity(article, text, **asked, **report),
                )
            proof = yield from _told(
                f"{name}, leaving words out",
                lambda report, asked=asked: engine.evidence(article, text, **asked, **report),
            )
            weight = yield from _told(
                f"{name}, leaving words out",
                lambda report, found=found: engine.weight(article, text, found.attribution, **report),
            )
            done.append(Finding(name, found, proof, weight.bounds, sanity))
            if len(done) == 1:
                shown = shown.tinted(found.spans, weight.bounds, by=name)
                yield article_parts(shown) | {"shown": shown}
        alike = [
            (one.name, two.name, engine.agreement(article, text, one.sources.attribution, two.sources.attribution))
            for one, two in combinations(done, 2)
        ]
        shown = replace(shown, compared=tuple(done))
        yield {"methods": methods_view.methods(done, alike, text), "shown": shown, "busy": False}
    except Exception as error:
        yield {"methods": notice(sentence(error), "problem"), "busy": False}


def _attention(engine: "Engine", layer: Any, head: Any) -> tuple[dict[str, int], str]:
    """The settings of the cross-attention, whose parts it counts from 0, and what was chosen, in words.

    Raises:
        UserError: the model has no such layer or head.
    """
    settings, told = {}, []
    for name, value, count in zip(("layer", "head"), (layer, head), engine.attention_shape, strict=True):
        if value == ALL:
            told.append(f"all {name}s (mean)")
        else:
            number = limits.Range(name, 1, count).check(value)
            settings[name] = number - 1
            told.append(f"{name} {number} of {count}")
    return settings, ", ".join(told)


def attention_choices(shown: Shown | None, names: Any) -> tuple[list[tuple[str, int]], list[tuple[str, int]]] | None:
    """What can be chosen of the cross-attention's layers and heads; None where that is not among the methods."""
    if shown is None or "attention" not in (names or ()):
        return None
    layers, heads = (
        [(f"All {name}s (mean)", ALL), *((f"{name.capitalize()} {number}", number) for number in range(1, count + 1))]
        for name, count in zip(("layer", "head"), shown.engine.attention_shape, strict=True)
    )
    return layers, heads


def tint(shown: Shown | None, name: Any) -> Parts:
    """The article tinted by one of the methods that were compared; computes nothing with the model."""
    for found in shown.compared if shown else ():
        if found.name == name:
            shown = shown.tinted(found.sources.spans, found.coloured, by=name)
            return article_parts(shown) | {"shown": shown}
    return {}


def favoured(shown: Shown | None, which: Any, typed: Any) -> Iterator[Parts]:
    """Which words of the article favour the summary over another text, at the first place where the two part."""
    from trainer.attribution.folding import fold_to_words

    if not _has_summary(shown):
        return
    yield {"methods": notice("Looking for what speaks for either…", "busy"), "busy": True}
    engine, article, summary = shown.engine, shown.article, shown.answer.text
    try:
        if which == "summary":
            raise UserError("Choose the reference or another text first: the summary is contrasted with it.")
        other = _text(shown, which, typed)
        found = yield from _told("Contrast", lambda report: engine.contrast(article, summary, other, **report))
        spans = tuple(fold_to_words(article, found.matrix.attribution(0)))
        ours, theirs = methods_view.speaking(spans)
        shown = shown.tinted(spans, sorted(ours + theirs))
        view = methods_view.favoured(found, article, spans, other)
        yield article_parts(shown) | {"methods": view, "shown": shown, "busy": False}
    except Exception as error:
        yield {"methods": notice(sentence(error), "problem"), "busy": False}


def _told(doing: str, ask: Callable[[dict[str, Any]], T]) -> Generator[Parts, None, T]:
    """`told` in the place of the methods; `ask` takes the engine's arguments `progress` and `waiting`."""
    doing = methods_view.label(doing)
    return told("methods", doing, lambda progress, waiting: ask({"progress": progress, "waiting": waiting}))


def _text(shown: Shown, which: Any, typed: Any) -> str:
    """The text that is to be explained.

    Raises:
        UserError: there is none.
    """
    if which == "other":
        return limits.text(typed, "text to explain", limits.SUMMARY_CHARACTERS)
    if which == "reference" and not shown.reference:
        raise UserError("There is no reference: give one under “Compare with other summaries”.")
    return shown.reference if which == "reference" else shown.answer.text


def _has_summary(shown: Shown | None) -> bool:
    return shown is not None and bool(shown.answer.text)
