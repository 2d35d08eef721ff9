"""Everything that summarises, behind one small protocol, and the names that command lines know it by.

A summariser is anything with `summarize(sources) -> list[Summary]` and `describe()`; evaluation, studies and
the demo know no more about it. `parse_system` makes one of what a person writes:

    lead-3  random-1  textrank-1     sentences of the article
    oracle  oracle-3                 the sentences nearest to the reference, at most so many: a bound
    references                       the references themselves: a bound
    user/model  user/model@revision  any encoder–decoder of the Hub
    space/starter                    the same in a folder
    lora:adapter@revision            a LoRA adapter on the base model that it names
    ensemble:a+b                     models of one vocabulary, their token probabilities averaged
    mbr:a+b+c  mbr:a*8+lead-3        of all their summaries the one most like the others; *8: eight of that model
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.errors import UserError, nearest
from trainer.hub.names import can_be_name, name_and_revision
from trainer.models.pretrained import load_adapted, load_summarizer
from trainer.summarizers.base import Summarizer, Summary
from trainer.summarizers.bayes_risk import MinimumBayesRisk
from trainer.summarizers.ensemble import ensemble
from trainer.summarizers.extractive import Extractive, LeadN, Oracle, RandomN, References, TextRank
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

__all__ = [
    "Extractive",
    "LeadN",
    "MinimumBayesRisk",
    "Oracle",
    "RandomN",
    "References",
    "Seq2SeqSummarizer",
    "Summarizer",
    "Summary",
    "TextRank",
    "check_system",
    "ensemble",
    "parse_system",
]

_BASELINES = ("lead", "random", "textrank", "oracle")
SEE_REFERENCES = ("oracle", "references")  # bounds, no systems to be compared with
_EXAMPLES = ("lead-3", "lead-1", "random-1", "random-3", "textrank-1", "textrank-3", *SEE_REFERENCES)
_WAYS = ("lora", "ensemble", "mbr")
_HOW = "A model is written user/model, user/model@revision or as the path of its folder."


def parse_system(
    spec: str, *, seed: int = 0, generation: Any = None, batch_size: int = 8, scores: bool = False
) -> Summarizer:
    """Makes the system that `spec` names (the forms are in this module's head), its models loaded.

    An `Oracle`, or `References`, that comes back is a bound: its `summarize` takes the references beside the sources.

    Args:
        seed: of what draws: random sentences, sampling.
        generation, batch_size, scores: of every model in it, as `Seq2SeqSummarizer` takes them.

    Raises:
        UserError: no system is called so (with the nearest name), or its model can't be had or used.
    """
    check_system(spec)
    name, rest = _way(spec)
    options = {"generation": generation, "batch_size": batch_size, "seed": seed, "scores": scores}
    if name is None:
        return _single(spec, name=spec, **options)
    if name == "lora":
        return Seq2SeqSummarizer.from_adapter(*name_and_revision(rest), name=spec, **options)
    if name == "ensemble":
        return Seq2SeqSummarizer.of(ensemble([_load(part) for part in rest.split("+")]), spec, **options)
    systems = []
    for part in rest.split("+"):
        one, number = _number(part)
        systems.append(_single(one, name=one, candidates=number, **options))
    return MinimumBayesRisk(systems, name=spec)


def check_system(spec: str) -> None:
    """Refuses what cannot name a system, without loading anything: whether a model is there shows in `parse_system`.

    Raises:
        UserError: with the nearest name.
    """
    name, rest = _way(spec)
    if name is None:
        _check_single(spec)
    elif name == "lora":
        _check_model(rest, spec)
    else:
        parts = rest.split("+")
        if len(parts) < 2 and not (name == "mbr" and _number(parts[0])[1] > 1):
            raise UserError(f"{spec!r} needs at least two systems, joined by '+', as in {name}:user/one+user/two.")
        for part in parts:
            _check_part(part, name, spec)


def _check_part(part: str, name: str, spec: str) -> None:
    one, number = _number(part) if name == "mbr" else (part, 1)
    if not one:
        raise UserError(f"{spec!r} has an empty name: systems are joined by one '+'.")
    way, rest = _way(one)
    if way in ("ensemble", "mbr"):
        raise UserError(f"{spec!r}: {one!r} is itself made of several systems, and can't be a part of others.")
    if way == "lora":
        _check_model(rest, spec)
        return
    _check_single(one)
    baseline = baseline_of(one)
    if baseline and baseline[0] in SEE_REFERENCES:
        raise UserError(f"{spec!r}: {one!r} sees the references, so nothing that is measured may be made of it.")
    if baseline and name == "ensemble":
        raise UserError(f"{spec!r}: {one!r} gives no token probabilities to average; mbr: takes any system.")
    if baseline and number > 1:
        raise UserError(f"{spec!r}: {one!r} has one summary of an article, not {number}.")


def _check_single(spec: str) -> None:
    if not baseline_of(spec):
        _check_model(spec, spec)


def _check_model(model: str, spec: str) -> None:
    """A folder, or what could be the name of a repository with its owner."""
    name, _ = name_and_revision(model)
    if not name or not (("/" in name and can_be_name(name)) or Path(name).is_dir()):
        near = nearest(spec, [*_EXAMPLES, *(f"{way}:" for way in _WAYS)])
        hint = f" did you mean {near!r}?" if near else ""
        raise UserError(f"No system is called {spec!r}{':' if hint else ', and no folder.'}{hint} {_HOW}")


def _way(spec: str) -> tuple[str | None, str]:
    name, colon, rest = spec.partition(":")
    return (name, rest) if colon and name in _WAYS and not Path(spec).is_dir() else (None, spec)


def baseline_of(spec: str) -> tuple[str, int | None] | None:
    """ "lead-3" as ("lead", 3); None where it is no baseline.

    Raises:
        UserError: it would be one, but its number is missing or no number.
    """
    if spec in SEE_REFERENCES:
        return spec, None
    match = re.fullmatch(rf"({'|'.join(_BASELINES)})(?:-(.*))?", spec)
    if not match or Path(spec).is_dir():
        return None
    if not re.fullmatch(r"[0-9]{1,6}", match[2] or "") or int(match[2]) < 1:
        raise UserError(f"{spec!r} must say how many sentences, 1 or more: {match[1]}-3.")
    return match[1], int(match[2])


def _number(part: str) -> tuple[str, int]:
    """ "user/model*8" as ("user/model", 8), and 1 where nothing is said."""
    match = re.fullmatch(r"(.*)\*([0-9]{1,4})", part)
    if not match:
        return part, 1
    if int(match[2]) < 1:
        raise UserError(f"{part!r}: the number of candidates must be 1 or more.")
    return match[1], int(match[2])


def _single(spec: str, **options: Any) -> Summarizer:
    baseline = baseline_of(spec)
    if baseline is None:
        way, rest = _way(spec)
        load = Seq2SeqSummarizer.from_adapter if way == "lora" else Seq2SeqSummarizer.from_pretrained
        return load(*name_and_revision(rest), **options)
    kind, n = baseline
    makers: dict[str, Callable[[], Summarizer]] = {
        "lead": lambda: LeadN(n),
        "random": lambda: RandomN(n, options["seed"]),
        "textrank": lambda: TextRank(n),
        "oracle": lambda: Oracle(n),
        "references": References,
    }
    return makers[kind]()


def _load(part: str) -> Any:
    way, rest = _way(part)
    return (load_adapted if way == "lora" else load_summarizer)(*name_and_revision(rest))
