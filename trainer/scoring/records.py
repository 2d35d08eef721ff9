"""The record: each figure with its interval, n, signature and all that it depends on, and the file of them.

Tables, README figures and the model card are printed from these records only.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from trainer.errors import UserError
from trainer.metrics.rouge import ROUGE_TYPES
from trainer.runtime.environment import environment
from trainer.runtime.figures import ABSENT, with_interval
from trainer.runtime.files import write_atomically

SCHEMA = 1

ROUGE_TITLES = dict(zip(ROUGE_TYPES, ("ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum"), strict=True))


@dataclass(frozen=True)
class FigureRecord:
    """One figure: its value, the ends of its interval, over how many examples, and how it was computed.

    ROUGE and shares are in [0, 1]; words and tokens are counts. All three are None where no example defines
    the value.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    signature: str


@dataclass(frozen=True)
class Evaluation:
    """One system on one split of one data set, with everything that its figures depend on.

    Attributes:
        system: the name that tables show.
        model, revision: Hub name or folder and commit; None for a system without a model.
        data: `dataset`, `config`, `split`, `revision`, `fingerprint` (of ids and texts), `n`, `skipped`
            (rows left out as bad) and, where there are any, `references_without_words` (they score 0 on ROUGE).
        decoding: what the system says of how it reads and decodes.
        number_format: fp32, bf16, fp16 or int8; None without a model.
        seed: of the system itself (a random baseline, sampling); None where it draws nothing.
        commit: of this project's code, with `-dirty` where it was changed; None outside git.
        interval: `method`, `samples`, `seed` and `confidence` of the intervals.
        seconds: wall-clock time of the summarising alone, on the machine of the file's `environment`.
        metrics: name → figure.
    """

    system: str
    model: str | None
    revision: str | None
    data: dict[str, Any]
    decoding: dict[str, Any]
    number_format: str | None
    seed: int | None
    commit: str | None
    interval: dict[str, Any]
    seconds: float
    metrics: dict[str, FigureRecord]


@dataclass
class Results:
    """The content of `results.json`.

    Attributes:
        evaluations: one record a system and split, in the order of the tables.
        settings: the resolved settings of the run, as `Settings.to_dict()` gives them.
        training: what the run did (steps, losses, best checkpoint, seconds); empty where nothing was trained.
        environment: versions, processor and threads (`trainer.runtime.environment.environment`).
        analysis: what trainer/eval.py found beside the figures (`trainer.scoring.measure`); the file has no such field
            where it is empty.
    """

    evaluations: list[Evaluation] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=environment)
    analysis: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        values = {"schema": self.schema} | {name: value for name, value in asdict(self).items() if name != "schema"}
        if not values["analysis"]:
            del values["analysis"]
        return values

    def save(self, path: str | Path) -> Path:
        """Writes the file in one step: a reader sees the old one or the new one, never half."""
        path = Path(path)
        write_atomically(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Results":
        """Reads and checks a file.

        Raises:
            UserError: there is no such file, it is not JSON, of another schema, or a field is missing,
                unknown or of the wrong type; the sentence names the place.
        """
        path = Path(path)
        try:
            data = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}.") from error
        except ValueError as error:
            raise UserError(f"{path} is not a JSON file: {error}.") from error
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: Any, where: str = "results") -> "Results":
        """The inverse of `to_dict`; `where` begins the sentence of a UserError."""
        if not isinstance(data, dict) or "schema" not in data:
            raise UserError(f"{where} is not a file of results: it has no schema.")
        if data["schema"] != SCHEMA:
            raise UserError(f"{where} is of schema {data['schema']!r}, and this version reads schema {SCHEMA}.")
        data = {"analysis": {}} | data
        _check(cls, data, where)
        evaluations = []
        for number, record in enumerate(data["evaluations"]):
            place = f"{where}: evaluations[{number}]"
            _check(Evaluation, record, place)
            _has(record["data"], ("dataset", "split", "revision", "fingerprint", "n"), f"{place}.data")
            _has(record["interval"], ("method", "samples", "seed", "confidence"), f"{place}.interval")
            metrics = {}
            for name, metric in record["metrics"].items():
                _check(FigureRecord, metric, f"{place}.metrics[{name!r}]")
                metrics[name] = FigureRecord(**metric)
            evaluations.append(Evaluation(**(record | {"metrics": metrics})))
        return cls(**(data | {"evaluations": evaluations}))

    def table(self, markdown: bool = False) -> str:
        """Systems × ROUGE-1/2/L/Lsum F1 × 100 with their intervals."""
        return results_table(self.evaluations, markdown)


def _check(cls: type, data: Any, where: str) -> None:
    """That `data` has the fields of the dataclass, no others, and values of their types."""
    if not isinstance(data, dict):
        raise UserError(f"{where} is {data!r:.80}: it must be an object.")
    types = get_type_hints(cls)
    for name in data:
        if name not in types:
            raise UserError(f"{where} has a field {name!r} that this version does not know.")
    for name, kind in types.items():
        if name not in data:
            raise UserError(f"{where} lacks the field {name!r}.")
        kinds = tuple(get_origin(one) or one for one in (get_args(kind) if isinstance(kind, UnionType) else (kind,)))
        # JSON may write 1.0 as 1, and Python takes true for 1.
        accepted = (*kinds, int) if float in kinds else kinds
        if isinstance(data[name], bool) or not isinstance(data[name], accepted):
            names = " or ".join("null" if one is type(None) else one.__name__ for one in kinds)
            raise UserError(f"{where}: {name} is {data[name]!r:.80}, and must be {names}.")


def _has(data: dict[str, Any], names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in data:
            raise UserError(f"{where} lacks the field {name!r}.")


def results_table(evaluations: Sequence[Evaluation], markdown: bool = False) -> str:
    """ROUGE F1 × 100 with intervals and the length in words, a row a system and data set; then what stands behind."""
    if not evaluations:
        return "No system has been evaluated."
    several = len({data_name(record) for record in evaluations}) > 1
    head = ["System", *(["Data"] if several else []), *ROUGE_TITLES.values(), "Words"]
    body = []
    for record in evaluations:
        first = [record.system, *([data_name(record)] if several else [])]
        cells = [cell(record.metrics.get(f"{kind}_fmeasure"), 100, 2) for kind in ROUGE_TYPES]
        body.append([*first, *cells, cell(record.metrics.get("summary_words"), 1, 1)])
    return "\n".join([*_lines(head, body, markdown), "", *_notes(evaluations, markdown)])


def wordless_note(without: int, n: int) -> str:
    """That so many of n references have no word for ROUGE."""
    return (
        f"{without:,} of {n:,} references have neither a letter a–z nor a digit: ROUGE finds no word in them, and "
        "scores them 0 whatever the summary."
    )


def data_name(record: Evaluation) -> str:
    """`EdinburghNLP/xsum, test split`, with the configuration in brackets where there is one."""
    config = f" ({record.data['config']})" if record.data.get("config") else ""
    name, split = record.data["dataset"], record.data["split"]
    # A file that is called by its split says so already.
    return f"{name}{config}" + ("" if split in name.rsplit("/", 1)[-1] else f", {split} split")


def cell(metric: FigureRecord | None, scale: float = 100, digits: int = 2) -> str:
    """`12.34 [11.00, 13.00]`; – where it is not measured or not defined."""
    return with_interval(metric.value, metric.low, metric.high, scale, digits) if metric else ABSENT


def _lines(head: list[str], body: list[list[str]], markdown: bool) -> list[str]:
    if markdown:
        rule = ["---", *["---:"] * (len(head) - 1)]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in [head, *body]]
        return ["| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]]]
    return text_table(head, body).split("\n")


def text_table(head: list[str], body: list[list[str]]) -> str:
    """A table for the terminal: columns as wide as they need to be, a rule under the head."""
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    rows = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [head, *body]]
    return "\n".join("  ".join(row).rstrip() for row in [rows[0], ["─" * width for width in widths], *rows[1:]])


def _notes(evaluations: Sequence[Evaluation], markdown: bool) -> list[str]:
    """What stands behind the figures, each thing once, in the order of the rows."""
    data = dict.fromkeys(f"{data_name(record)}, n = {record.data['n']:,}" for record in evaluations)
    intervals = dict.fromkeys(
        f"{100 * record.interval['confidence']:g}% intervals by {record.interval['method']}, "
        f"{record.interval['samples']:,} samples, seed {record.interval['seed']}"
        for record in evaluations
    )
    figures = [record.metrics.get(f"{kind}_fmeasure") for record in evaluations for kind in ROUGE_TYPES]
    signatures = dict.fromkeys(figure.signature for figure in figures if figure)
    notes = [f"ROUGE × 100 on {'; '.join(data)}. {'; '.join(intervals)}."]
    notes += dict.fromkeys(
        wordless_note(without, record.data["n"])
        for record in evaluations
        if (without := record.data.get("references_without_words"))
    )
    if signatures:
        quote = "`" if markdown else ""
        notes.append("Signatures: " + ", ".join(f"{quote}{text}{quote}" for text in signatures))
    return ["\n\n".join(notes)] if markdown else notes
