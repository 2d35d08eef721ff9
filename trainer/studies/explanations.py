"""What studies of explanations share: a model's own summaries to be explained, and a journal of what was measured."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.attribution.faithfulness import CountingPasses
from trainer.attribution.matrix import Pair
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.models.load import T5_FAMILY
from trainer.runtime.environment import environment
from trainer.runtime.figures import ABSENT, signed
from trainer.scoring.ledger import append_lines, mend
from trainer.settings.base import public_name
from trainer.settings.studies import ExplanationSettings
from trainer.studies.intervals import paired_difference
from trainer.summarizers.base import Summarizer
from trainer.summarizers.systems import Seq2SeqSummarizer, parse_system

ALPHA = 0.05


class Explained:
    """A model whose own summaries are explained.

    Args:
        name: of the model, as `parse_system` takes it.
        summarizer: the model, for which `can_be_explained` is true.
    """

    def __init__(self, name: str, summarizer: Seq2SeqSummarizer):
        self._summarizer = summarizer
        self._passes = CountingPasses(summarizer.model)
        self._name = public_name(name)

    @classmethod
    def load(cls, model: str, max_source_length: int | None) -> "Explained":
        """The model of that name; it reads at most `max_source_length` tokens of an article (None: as many as it can).

        Raises:
            UserError: there is no such model, or it is no T5.
        """
        summarizer = parse_system(model)
        if not can_be_explained(summarizer):
            raise UserError(f"--model is {model}: only a T5 can be explained ({', '.join(T5_FAMILY)}).")
        limit = summarizer.max_source_length
        summarizer.max_source_length = min(max_source_length or limit, limit)
        return cls(model, summarizer)

    def pair(self, article: str, summary: str | None = None) -> Pair:
        """The article with a summary; by default the model's own of what it read."""
        one = self._summarizer
        if summary is None:
            summary = one.summarize([article])[0].text
        return Pair.read(
            self._passes,
            one.tokenizer,
            article,
            summary,
            prefix=one.prefix,
            max_source_length=one.max_source_length,
        )

    def record(self) -> dict[str, Any]:
        """What the model is and how it summarises, with a digest of its weights."""
        digest = hashlib.sha256()
        for name, weight in sorted(self._summarizer.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        about = self._summarizer.describe()
        return about | {"system": self._name, "model": self._name, "weights": digest.hexdigest()[:16]}


def can_be_explained(summarizer: Summarizer) -> bool:
    """Whether it is a T5, of which the attribution methods know the inside."""
    return isinstance(summarizer, Seq2SeqSummarizer) and summarizer.model.config.model_type in T5_FAMILY


class Journal:
    """A file of what was measured, a line an article and kind of measurement, which only grows.

    Its first line holds the settings that all others were measured with. A line that a kill has torn is cut off.

    Args:
        settings: JSON values.

    Raises:
        UserError: the file was begun with other settings, or is broken.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]):
        self._path = path
        self._lines: dict[tuple[str, str], dict[str, Any]] = {}
        settings = json.loads(json.dumps(settings))
        if path.is_file():
            mend(path)
        lines = _read(path) if path.is_file() else []
        if not lines:
            append_lines(path, [{"settings": settings}])
        elif lines[0]["settings"] != settings:
            before = lines[0]["settings"]
            changed = [name for name in dict.fromkeys([*before, *settings]) if before.get(name) != settings.get(name)]
            shown = "\n".join(f"  {name}: {before.get(name)} -> {settings.get(name)}" for name in changed)
            raise UserError(
                f"The study in {path.parent} was begun otherwise:\n{shown}\n"
                "Give the same settings to go on, or choose another --output_dir."
            )
        for line in lines[1:]:
            self._lines[line["article"], line["what"]] = line["measured"]

    def find(self, article: str, what: str) -> dict[str, Any] | None:
        """What was measured on this text, None where that was not done."""
        return self._lines.get((_digest(article), what))

    def add(self, article: str, name: str, what: str, measured: Mapping[str, Any]) -> None:
        """Writes a line; of two lines for the same the later counts.

        Args:
            article: the text.
            name: of the article in its data set, for a reader of the file.
            what: was measured, with its settings.
            measured: JSON values.
        """
        key = _digest(article)
        append_lines(self._path, [{"article": key, "id": name, "what": what, "measured": dict(measured)}])
        self._lines[key, what] = dict(measured)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _read(path: Path) -> list[dict[str, Any]]:
    lines = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            lines.append(json.loads(line))
            wanted = ("settings",) if number == 1 else ("article", "what", "measured")
            if any(name not in lines[-1] for name in wanted):
                raise ValueError
        except ValueError:
            raise UserError(f"{path}, line {number} is broken: take it out, or choose another --output_dir.") from None
    return lines


def described(own: ExplanationSettings, explained: Explained, split: Split, done: int) -> dict[str, Any]:
    """What a record says of model, data, settings and machine; `done` is how many articles were measured."""
    return {
        "model": explained.record(),
        "data": {"dataset": split.dataset, "split": split.name, "n": done, "fingerprint": split.fingerprint},
        "seed": own.seed,
        "environment": environment(),
    }


def mean_record(values: Sequence[float | None]) -> dict[str, Any] | None:
    """The mean over articles with its 95% interval, n, and p that it is 0; what is not defined is left out.

    None where fewer than two articles have the value.
    """
    numbers = [value for value in values if value is not None and np.isfinite(value)]
    if len(numbers) < 2:
        return None
    found = paired_difference(np.array(numbers))
    return {"value": found.value, "low": found.low, "high": found.high, "p": found.p, "n": len(numbers)}


def told(record: Mapping[str, Any] | None, scale: float = 1.0, digits: int = 1, sign: bool = False) -> str:
    """`12.3 [11.0, 13.6]`, with `sign` +12.3; – where there is nothing."""
    if record is None:
        return ABSENT
    plain = f"{{:.{digits}f}}".format
    write = (lambda number: signed(number, digits)) if sign else plain
    value, low, high = (write(scale * record[name]) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def each(split: Split, say: Callable[[str], None], every: int = 10) -> Iterator[tuple[int, Any]]:
    """The articles with their places; says how far it is after each `every`."""
    for place, example in enumerate(split.examples):
        yield place, example
        if (place + 1) % every == 0:
            say(f"{place + 1} of {len(split)} articles.")
