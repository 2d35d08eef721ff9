"""A split of article–summary pairs: what is in it, where it came from, and what it shares with another."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

SplitName = Literal["train", "validation", "test"]

SHOWN = 5  # bad rows that a report names one by one


@dataclass(frozen=True, slots=True)
class Example:
    """One pair: `source` is the article without prefix, `target` the reference summary."""

    id: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be used. `number` counts from 1: lines in JSONL and CSV, rows elsewhere.

    `lines` is how many lines were passed over with it: in CSV a quote that is not closed takes others along.
    """

    file: str
    unit: Literal["line", "row"]
    number: int
    reason: str
    lines: int = 1

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}: {self.reason}"


@dataclass(frozen=True)
class Split:
    """The pairs of one split and where they came from.

    Attributes:
        name: train, validation or test.
        examples: the pairs in the order of the file; with max_*_samples the first N usable ones.
        dataset: name on the Hub, or `folder/file` of a local file.
        config: configuration of the data set on the Hub, None where none was asked for.
        revision: commit of the data set on the Hub that was really read, None for a local file.
        skipped: the rows that were left out as bad, all of them, in order.
        rows_read: usable and bad rows up to the last one that was needed.
        remarks: what happened on the way that a reader of the results should know, as sentences.
        sizes: pairs of each data set in turn, where several are learnt together.
        fingerprint: first 16 hex digits of the SHA-256 over all ids and texts.
    """

    name: str
    examples: Sequence[Example] = field(repr=False)
    dataset: str
    config: str | None = None
    revision: str | None = None
    skipped: list[BadRow] = field(default_factory=list, repr=False)
    rows_read: int = 0
    remarks: list[str] = field(default_factory=list)
    sizes: tuple[int, ...] = ()
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint(self.examples))

    def __len__(self) -> int:
        return len(self.examples)

    def notes(self) -> list[str]:
        """Lines to print about this split: remarks, skipped rows (the first few by name), repeated ids."""
        lines = list(self.remarks)
        if self.skipped:
            lost = sum(row.lines for row in self.skipped)
            in_lines = f" ({lost:,} lines)" if lost > len(self.skipped) else ""
            lines.append(f"{self.dataset}: {len(self.skipped):,} of {self.rows_read:,} rows skipped as bad{in_lines}:")
            lines += [f"  {row}" for row in self.skipped[:SHOWN]]
            if len(self.skipped) > SHOWN:
                lines.append(f"  … and {len(self.skipped) - SHOWN:,} more")
        repeated = [name for name, n in Counter(example.id for example in self.examples).items() if n > 1]
        if repeated:
            ids = "1 id occurs" if len(repeated) == 1 else f"{len(repeated):,} ids occur"
            lines.append(f"{self.dataset}: {ids} more than once in {self.name}, such as {repeated[0]!r}.")
        return lines


def joined(splits: Sequence[Split]) -> Split:
    """One split of the pairs of several, in turn; ids of all but the first are `folder/file:id`."""
    first, *others = splits
    examples = list(first.examples)
    for split in others:
        examples += [replace(example, id=f"{split.dataset}:{example.id}") for example in split.examples]
    return replace(
        first,
        examples=examples,
        dataset=" + ".join(split.dataset for split in splits),
        skipped=[row for split in splits for row in split.skipped],
        rows_read=sum(split.rows_read for split in splits),
        remarks=[remark for split in splits for remark in split.remarks],
        sizes=tuple(len(split) for split in splits),
    )


def fingerprint(examples: Iterable[Example]) -> str:
    """First 16 hex digits of the SHA-256 over ids and texts, each after its length in 8 bytes."""
    digest = hashlib.sha256()
    for example in examples:
        for text in (example.id, example.source, example.target):
            data = text.encode("utf-8")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()[:16]


def shared_sources(train: Iterable[Example], held_out: Iterable[Example]) -> list[str]:
    """Ids of the held-out examples whose article is also in `train`, the same but for white space."""
    seen = {_digest(example.source) for example in train}
    return [example.id for example in held_out if _digest(example.source) in seen]


def leakage_notes(train: Split, *held_out: Split) -> list[str]:
    """A warning for each split that shares articles with the training pairs."""
    notes = []
    for split in held_out:
        shared = shared_sources(train.examples, split.examples)
        if shared:
            notes.append(
                f"{len(shared):,} of the {len(split):,} {split.name} articles (such as id {shared[0]!r}) "
                f"{'is' if len(shared) == 1 else 'are'} in the training pairs too: "
                f"{split.name} scores will flatter the model."
            )
    return notes


def _digest(text: str) -> bytes:
    return hashlib.blake2b(" ".join(text.split()).encode("utf-8"), digest_size=16).digest()
