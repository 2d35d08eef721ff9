"""The pairs of an evaluation: read once, checked, and kept on the disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.scoring.ledger import Spool
from trainer.settings.evaluation import EvalDataSettings


def read_pairs(settings: EvalDataSettings, topic: str | None, path: Path, say: Callable[..., None] = print) -> Split:
    """The split, its examples in a `Spool` at `path`.

    Args:
        topic: the column that states what each article is about, for `Spool.label`; None where there is none.

    Raises:
        UserError: as `load_split`; where the references are missing the sentence says what they are for.
    """
    data = settings.to_read((topic,) if topic else ())
    spool = Spool.create(path)
    several = 0

    def prepare(values: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal several
        source, target = values.get(data.source_column), values.get(data.target_column)
        if topic:
            label = values.get(topic)
            spool.label = None if label is None else str(label)
        if _texts(source):
            values = {**values, data.source_column: " ".join(source)}
        if _texts(target):
            several += len(target) > 1
            values = {**values, data.target_column: target[0]}
        return values

    try:
        split = load_split(data, settings.split, say, keep=spool, prepare=prepare)
    except UserError as error:
        if f"no column {data.target_column!r}" in str(error):
            raise UserError(
                f"{error} Evaluation compares summaries with references: without that column nothing can be measured."
            ) from error
        raise
    for note in split.notes():
        say(note)
    if several:
        say(f"{several:,} rows have several references; the first of each counts.")
    if topic and not any(label is not None for _, label in spool.labelled()):
        raise UserError(f"--topic_column is {topic!r}, and no row of {split.dataset} has such a column.")
    spool.close_writing()
    return split


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
