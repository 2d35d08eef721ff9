"""The run of trainer/eval.py: who summarises what, written down block by block, then measured.

The pairs are dealt out in blocks of `block_size` rows; block k is process k mod n's. A block is summarised, scored and
appended to the process's own file in one go, so a kill costs a block, and neither a kill nor the number of processes
changes a record: what a system sees at once is always the same block. Process 0 then reads the lines in the order of
the rows into columns of numbers (a float64 per example and figure) and never holds the texts.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from tqdm.auto import tqdm

from trainer.audit import AUDIT, audit_name
from trainer.cited import cited_rows
from trainer.data import Example, Split, load_split
from trainer.errors import UserError
from trainer.evaluation_settings import XSUM_TEST, EvalSettings, known
from trainer.forecast import peak_memory, spoken
from trainer.ledger import Ledger, Spool, append_lines, mend
from trainer.metrics import aboutness
from trainer.metrics.abstraction import abstraction
from trainer.metrics.base import Figure, MetricFunction, mean_of
from trainer.metrics.bleu import bleu
from trainer.metrics.chrf import chrf
from trainer.metrics.entailment import EntailmentModel, entailment
from trainer.metrics.facts import facts
from trainer.metrics.lengths import lengths
from trainer.metrics.overlap import overlap
from trainer.metrics.repetition import repetition
from trainer.metrics.semantic import Encoder, bertscore, embedding_similarity, word_movers_distance
from trainer.processes import Processes
from trainer.qualitative import errors
from trainer.results import Evaluation, Results, evaluation_of, generation_figures, rouge_figures, write_atomically
from trainer.settings import public_name
from trainer.significance import compare, too_few
from trainer.slices import Features, slice_records
from trainer.systems import SEE_REFERENCES, Summarizer, Summary, baseline_of, check_system, parse_system

METRICS: dict[str, MetricFunction] = {
    "rouge": rouge_figures,
    "bleu": bleu,
    "chrf": chrf,
    "overlap": overlap,
    "lengths": lengths,
    "abstraction": abstraction,
    "repetition": repetition,
    "facts": facts,
    "errors": errors,
}
# Metrics that need a model, which is loaded when they are asked for.
BY_ENCODER: dict[str, Callable[[Encoder], MetricFunction]] = {
    "embedding": embedding_similarity,
    "bertscore": bertscore,
    "wmd": word_movers_distance,
}
METRIC_NAMES = (*METRICS, "aboutness", *BY_ENCODER, "entailment")
# What "random" and so on mean where no number is given, as in the report's tables.
USUAL = {"lead": "lead-3", "random": "random-1", "textrank": "textrank-1"}
LEAST = 200  # examples; with fewer, intervals of ROUGE are mostly wider than the differences that papers report
SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Job:
    """One system over the first `rows` pairs.

    Attributes:
        name: what records and tables call it.
        spec: what `parse_system` takes.
        generation: decoding settings that go over the model's own.
        audit: whether it is a row of the decoding audit and not of the table.
    """

    name: str
    spec: str
    generation: dict[str, Any]
    rows: int | None = None
    audit: bool = False

    @property
    def bound(self) -> bool:
        """Whether it sees the references, and so is no system to be compared with."""
        baseline = baseline_of(self.spec)
        return baseline is not None and baseline[0] in SEE_REFERENCES


def plan(settings: EvalSettings) -> list[Job]:
    """What is to be done, names checked.

    Raises:
        UserError: no such system or metric, with the nearest name.
    """
    for name in settings.system.metric_list:
        known("metric", name, METRIC_NAMES, "--metrics: ")
    if not settings.system.metric_list:
        raise UserError(f"--metrics is empty: name at least one of {', '.join(METRIC_NAMES)}.")
    given = settings.decoding.given()
    jobs = []
    for spec in settings.system.system_list:
        spec = USUAL.get(spec, spec)
        check_system(spec)
        jobs.append(Job(public_name(spec), spec, given))
    if settings.system.audit:
        spec = settings.system.audit
        check_system(spec)
        if baseline_of(spec) or spec.startswith("mbr:"):
            raise UserError(f"--audit is {spec!r}: it is a model's decoding that is audited, so name a model.")
        jobs += [
            Job(audit_name(public_name(spec), way), spec, given | way, settings.system.audit_samples, audit=True)
            for way in AUDIT
        ]
    names = [job.name for job in jobs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"--systems: two of them would be called {twice} in the tables; rename one's folder.")
    against = settings.report.compare_to
    if against not in ("best", "all"):
        against = public_name(USUAL.get(against, against))
        known("system", against, [job.name for job in jobs if not job.audit and not job.bound], "--compare_to: ")
    return jobs


def metrics_of(settings: EvalSettings) -> list[MetricFunction]:
    """The metrics asked for, with the models that they need.

    Raises:
        UserError: a model can't be had, or none is named where one must be.
    """
    names = settings.system.metric_list
    found = {name: METRICS[name] for name in names if name in METRICS}
    if BY_ENCODER.keys() & set(names):
        encoder = Encoder.load(*_revision(settings.system.encoder))
        found |= {name: BY_ENCODER[name](encoder) for name in names if name in BY_ENCODER}
    if "entailment" in names:
        if not settings.system.nli:
            raise UserError("--metrics entailment needs a classifier to judge it: name one with --nli.")
        found["entailment"] = entailment(EntailmentModel.load(*_revision(settings.system.nli)))
    return [found[name] for name in names if name in found]  # aboutness looks beyond a block


def _revision(model: str | None) -> tuple[str | None, str | None]:
    if model is None or Path(model).is_dir():
        return model, None
    name, _, revision = model.partition("@")
    return name, revision or None


class Run:
    """The folder of an evaluation.

    run.json says what decides its predictions; predictions.jsonl and work/*.rank*.jsonl hold them; timings.jsonl what
    each block took.
    """

    def __init__(self, settings: EvalSettings):
        self.settings = settings
        self.folder = settings.output_dir
        self.work = self.folder / "work"
        self.predictions = self.folder / "predictions.jsonl"
        self.split: Split | None = None  # in process 0 only
        self.spool: Spool | None = None
        self.ledger: Ledger | None = None

    def open(self, jobs: Sequence[Job], processes: Processes) -> None:
        """Reads the pairs, checks that a run that is here is this one, and mends what a kill has torn.

        Raises:
            UserError: the pairs can't be read, or the folder holds another run or something else.
        """
        before = self._found(jobs)
        self.work.mkdir(parents=True, exist_ok=True)
        self.split = read_pairs(self.settings, self.work / "pairs.jsonl", processes.say)
        self.spool = self.split.examples
        self.spool.close_writing()
        identity = self.settings.identity() | {"fingerprint": self.split.fingerprint}
        if before is not None:
            _same(before["identity"], identity, self.folder)
        record = {
            "identity": identity,
            "systems": list(dict.fromkeys([*(before or {}).get("systems", []), *(job.name for job in jobs)])),
            "models": (before or {}).get("models", {}),
        }
        self._note(record)
        for path in self._files():
            torn = mend(path)
            if torn:
                processes.say(f"The last line of {path.name} was torn by a kill ({torn} bytes) and is made anew.")

    def join(self) -> None:
        """What the other processes do when process 0 has opened the run."""
        self.spool = Spool.open(self.work / "pairs.jsonl")

    def scan(self, jobs: Sequence[Job]) -> Ledger:
        self.ledger = Ledger(len(self.spool))
        self.ledger.scan(self._files(), [job.name for job in jobs])
        return self.ledger

    def check_model(self, job: Job, about: Mapping[str, Any]) -> None:
        """That a system whose predictions are partly here is the one that made them.

        Raises:
            UserError: it has another revision, decoding or weights now.
        """
        record = json.loads((self.folder / "run.json").read_text("utf-8"))
        now = json.loads(json.dumps({"about": about, "weights": _stamp(job.spec)}))
        before = record["models"].get(job.name)
        if before is not None and before != now and self.ledger.done(job.name).any():
            lines = [
                f"  {name}: {json.dumps(before[name])[:200]} -> {json.dumps(now[name])[:200]}"
                for name in now
                if before[name] != now[name]
            ]
            raise UserError(
                f"{job.name} is not what it was when this run began:\n" + "\n".join(lines) + "\n"
                "Its new summaries can't be mixed with the old ones: choose another --output_dir, or --from_start."
            )
        record["models"][job.name] = now
        self._note(record)

    def finish(self, jobs: Sequence[Job], failed: Mapping[str, str]) -> None:
        """Puts all lines into predictions.jsonl, in the order of systems and rows, and clears work/.

        What a system that failed has done stays in work/, for the same command to go on from.
        """
        part = self.folder / ".predictions.jsonl.part"
        ledger = self.scan(jobs)
        with part.open("wb") as file:
            for job in jobs:
                if job.name not in failed:
                    file.writelines(ledger.lines(job.name))
        part.replace(self.predictions)
        timings = sorted(self.work.glob("timings.rank*.jsonl"))
        with (self.folder / "timings.jsonl").open("ab") as file:
            file.writelines(path.read_bytes() for path in timings)
        self.spool.close()
        if failed:
            self.spool.path.unlink()
        else:
            shutil.rmtree(self.work)

    def seconds(self, name: str) -> float:
        """Time that the blocks of a system took, divided among the processes that worked at once."""
        blocks: dict[int, float] = {}
        for path in (self.folder / "timings.jsonl", *sorted(self.work.glob("timings.rank*.jsonl"))):
            if path.is_file():
                mend(path)
                for line in path.read_text("utf-8").splitlines():
                    record = json.loads(line)
                    if record["system"] == name:
                        blocks[record["block"]] = record["seconds"] / record["processes"]
        return sum(blocks.values())

    def _found(self, jobs: Sequence[Job]) -> dict[str, Any] | None:
        file = self.folder / "run.json"
        if self.settings.report.from_start and self.folder.is_dir():
            number = 1
            while (kept := self.folder.with_name(f"{self.folder.name}.before-{number}")).exists():
                number += 1
            self.folder.rename(kept)
        if not file.is_file():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise UserError(
                    f"--output_dir {self.folder} holds files, but no evaluation: choose an empty or a new folder."
                )
            return None
        try:
            before = json.loads(file.read_text("utf-8"))
            missing = [name for name in before["systems"] if name not in {job.name for job in jobs}]
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{file} is broken: choose another --output_dir, or begin anew with --from_start."
            ) from None
        if missing:
            them = "it" if len(missing) == 1 else "them"
            raise UserError(
                f"The run in {self.folder} also holds {', '.join(missing)}: name {them} too (systems may be added, not "
                "left out), choose another --output_dir, or begin anew with --from_start."
            )
        return before

    def _files(self) -> list[Path]:
        old = [self.predictions] if self.predictions.is_file() else []
        return old + sorted(self.work.glob("predictions.rank*.jsonl"))

    def _note(self, record: dict[str, Any]) -> None:
        write_atomically(self.folder / "run.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_pairs(settings: EvalSettings, path: Path, say: Callable[..., None] = print) -> Split:
    """The split, its examples in a `Spool`.

    Raises:
        UserError: as `load_split`; where the references are missing the sentence says what they are for.
    """
    topic = settings.report.topic_column
    data = settings.data.to_read((topic,) if topic else ())
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
        split = load_split(data, settings.data.split, say, keep=spool, prepare=prepare)
    except UserError as error:
        if f"column {data.target_column!r}" in str(error):
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
    return split


def predict(
    run: Run, job: Job, metrics: Sequence[MetricFunction], processes: Processes, progress: "Progress"
) -> str | None:
    """Summarises and scores what is still to be done of a job; returns why it failed, None where it did not.

    Raises:
        UserError: the system is another one than at the run's beginning.
    """
    rows = min(job.rows or len(run.spool), len(run.spool))
    size = run.settings.system.block_size
    done = run.ledger.done(job.name)[:rows]
    blocks = [start for start in range(0, rows, size) if not done[start : start + size].all()]
    progress.begin(job.name, rows, rows - sum(min(size, rows - start) for start in blocks))
    if not blocks and job.name in json.loads((run.folder / "run.json").read_text("utf-8"))["models"]:
        return None
    system, failure = None, None
    with processes.in_turn():  # what the first process fetches, the others find
        try:
            system = _load(job, run.settings)
        except Exception as error:
            failure = _reason(error)
    failure = _agree(run, job, processes, failure)
    if failure:
        return failure
    if processes.first:
        run.check_model(job, _about(job, system))
    for number, start in enumerate(range(0, rows, size)):
        if start not in blocks or number % processes.n != processes.rank:
            continue
        examples = run.spool[start : min(start + size, rows)]
        began = time.monotonic()
        try:
            if hasattr(system, "show"):
                system.show((example.source, example.target) for example in examples)
            summaries = system.summarize([example.source for example in examples])
        except Exception as error:  # whatever goes wrong within one system costs its row and not the run
            failure = _reason(error)
            break
        seconds = time.monotonic() - began
        append_lines(
            run.work / f"predictions.rank{processes.rank}.jsonl", lines(job.name, start, examples, summaries, metrics)
        )
        timing = {"system": job.name, "block": number, "seconds": round(seconds, 4), "processes": processes.n}
        append_lines(run.work / f"timings.rank{processes.rank}.jsonl", [timing])
        progress.add(len(examples))
    return _agree(run, job, processes, failure)


def lines(
    system: str,
    start: int,
    examples: Sequence[Example],
    summaries: Sequence[Summary],
    metrics: Sequence[MetricFunction],
) -> Iterator[dict[str, Any]]:
    """The lines of predictions.jsonl for a block whose first row is `start`.

    `counts` are there for corpus scores only: the sums of what they are computed from.
    """
    figures = generation_figures(summaries)
    texts = [summary.text for summary in summaries]
    for metric in metrics:
        figures |= metric(texts, [one.target for one in examples], [one.source for one in examples])
    for place, (example, summary) in enumerate(zip(examples, summaries, strict=True)):
        line = {
            "system": system,
            "row": start + place,
            "id": example.id,
            "prediction": summary.text,
            "reference": example.target,
            "score": summary.score,
            "tokens_read": summary.tokens_read,
            "tokens_total": summary.tokens_total,
            "tokens_written": summary.tokens_written,
            "finished": summary.finished,
            "scores": {name: _number(figure.per_example[place]) for name, figure in figures.items()},
        }
        counts = {name: figure.rows[place].tolist() for name, figure in figures.items() if not _is_mean(figure)}
        yield line | ({"counts": counts} if counts else {})


class Columns:
    """The figures of one system: a column of numbers for each, filled from the lines of predictions.jsonl.

    Args:
        prototypes: figures of any one example, which know names, signatures and how corpus scores combine.
        n: examples.
    """

    def __init__(self, prototypes: Mapping[str, Figure], n: int):
        self.prototypes = prototypes
        self.values = {name: np.full(n, np.nan) for name in prototypes}
        self.counts = {
            name: np.zeros((n, figure.rows.shape[1])) for name, figure in prototypes.items() if not _is_mean(figure)
        }

    def fill(self, records: Iterable[Mapping[str, Any]]) -> "Columns":
        for record in records:
            row = record["row"]
            for name, column in self.values.items():
                value = record["scores"].get(name)
                column[row] = math.nan if value is None else value
            for name, counts in self.counts.items():
                counts[row] = record["counts"][name]
        return self

    def figure(self, name: str) -> Figure:
        prototype = self.prototypes[name]
        if name not in self.counts:
            return mean_of(self.values[name], prototype.signature)
        return Figure(self.counts[name], prototype.combine, prototype.signature, self.values[name])

    def figures(self) -> dict[str, Figure]:
        return {name: self.figure(name) for name in self.prototypes}


def prototypes(metrics: Iterable[MetricFunction], about: bool = False) -> dict[str, Figure]:
    """Every figure of the metrics, over one made-up example; that of aboutness too where it is asked for."""
    figures = generation_figures([Summary("word", None, 1, 1)])
    for metric in [*metrics, *([aboutness.aboutness] if about else [])]:
        figures |= metric(["word"], ["word"], ["word"])
    return figures


def fill_aboutness(columns: Mapping[str, Columns], ledger: Ledger, spool: Spool) -> None:
    """Fills `own_article_share`, for which articles are compared that lie in different blocks; 100 are read at once."""
    for pool, scored in aboutness.pools(len(spool)) if len(spool) > 1 else []:
        articles = aboutness.Pool([spool[row].source for row in pool])
        for name, column in columns.items():
            for record in ledger.records(name, scored):
                own = articles.has_own(record["prediction"], record["row"] - pool.start)
                column.values[aboutness.FIGURE][record["row"]] = own


@dataclass
class Measured:
    """What process 0 has when all systems are through.

    Attributes:
        results: what results.json holds.
        jobs: what was to be done.
        columns: system → its numbers, for the report's choice of examples.
        failed: system → reason.
    """

    results: Results
    jobs: Sequence[Job]
    columns: dict[str, Columns] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure(
    run: Run,
    jobs: Sequence[Job],
    protos: Mapping[str, Figure],
    failed: Mapping[str, str],
    say: Callable[..., None] = print,
) -> Measured:
    """From the lines on the disk to records: figures with intervals, comparisons, slices, throughput, warnings."""
    report = run.settings.report
    columns: dict[str, Columns] = {}
    evaluations: dict[str, Evaluation] = {}
    throughput: list[dict[str, Any]] = []
    run.scan(jobs)
    models = json.loads((run.folder / "run.json").read_text("utf-8"))["models"]
    made = [job for job in jobs if job.name not in failed]
    rows = {job.name: min(job.rows or len(run.spool), len(run.spool)) for job in made}
    filled = {job.name: Columns(protos, rows[job.name]).fill(run.ledger.records(job.name)) for job in made}
    if aboutness.FIGURE in protos:
        fill_aboutness({job.name: filled[job.name] for job in made if not job.audit}, run.ledger, run.spool)
    for job in made:
        n, found = rows[job.name], filled[job.name]
        split = _part(run.split, n)
        seconds = run.seconds(job.name)
        evaluations[job.name] = evaluation_of(
            models[job.name]["about"],
            split,
            found.figures(),
            seconds,
            bootstrap_samples=report.bootstrap_samples,
            seed=run.settings.system.seed,
        )
        if job.audit:
            continue
        columns[job.name] = found
        throughput.append(_throughput(job.name, seconds, n, found))
    shown = [job for job in jobs if job.name in columns]
    analysis: dict[str, Any] = {
        "failed": [{"system": name, "reason": reason} for name, reason in failed.items()],
        "bounds": [job.name for job in shown if job.bound],
        "throughput": throughput,
        "peak_memory_bytes": peak_memory(torch.device("cpu")),
    }
    compared = {job.name: columns[job.name] for job in shown if not job.bound}
    analysis["comparisons"] = comparisons(run.settings, compared)
    analysis["warnings"] = warnings(len(run.spool), analysis["comparisons"])
    features = None
    if report.slice_list and columns:
        say("Setting kinds of article apart ...")
        features = Features.of(run.spool, report.slice_list, report.topics, run.settings.system.seed)
        figures = {name: found.figure(report.slice_by) for name, found in columns.items()}
        analysis["slices"] = slice_records(
            features, report.slice_by, figures, report.bootstrap_samples, run.settings.system.seed
        )
    audit = [evaluations[job.name] for job in jobs if job.audit and job.name in evaluations]
    if audit:
        analysis["audit"] = [_plain(asdict(one)) for one in audit]
    analysis["cited"] = cited_rows(report.cited, run.split.dataset)
    results = Results(
        evaluations=[evaluations[job.name] for job in shown],
        settings=run.settings.public(),
        analysis=_plain(analysis),
    )
    return Measured(results, jobs, columns, dict(failed))


def known_figures(settings: EvalSettings, names: Iterable[str]) -> None:
    """That what systems are compared by, and slices show, is measured at all.

    Raises:
        UserError: with the nearest name.
    """
    names = list(names)
    for name in settings.report.compare_list:
        known("figure of these --metrics", name, names, "--compare_by: ")
    if settings.report.slice_list:
        known("figure of these --metrics", settings.report.slice_by, names, "--slice_by: ")


def comparisons(settings: EvalSettings, columns: Mapping[str, Columns]) -> list[dict[str, Any]]:
    """Each system against the one of best ROUGE-1, a given one, or each other, by each figure of --compare_by."""
    if len(columns) < 2:
        return []
    found = []
    report = settings.report
    against: str | None = public_name(USUAL.get(report.compare_to, report.compare_to))
    if report.compare_to == "all":
        against = None
    elif report.compare_to == "best" or against not in columns:  # a given one may have failed
        first = report.compare_list[0]
        against = max(columns, key=lambda name: _or_least(columns[name].figure(first).value))
    for metric in report.compare_list:
        figures = {name: one.figure(metric) for name, one in columns.items()}
        for one in compare(metric, figures, against, report.test_samples, settings.system.seed):
            found.append(asdict(one) | {"verdict": one.verdict()})
    return found


def warnings(n: int, compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader should know before believing a difference."""
    said = []
    if n < LEAST:
        said.append(
            f"Only {n:,} examples: intervals are wide, and a difference between systems that is not far outside them "
            f"says little. Several hundred examples are usual."
        )
    number = max((one["comparisons"] for one in compared), default=0)
    if number and too_few(n, number):
        said.append(f"{n} examples can't tell any systems apart at the 5% level, whatever their scores.")
    unseen = [one for one in compared if max(one["p_bootstrap_holm"], one["p_randomization_holm"]) >= 0.05]
    if unseen:
        said.append(
            f"{len(unseen)} of {len(compared)} comparisons show no difference that chance could not make; "
            "their sentences say how large one would have to be to be seen."
        )
    return said


class Progress:
    """A bar with the time left where a terminal shows it, else a line now and then; in process 0 only.

    It counts process 0's own blocks for all processes, which have equally many.
    """

    def __init__(self, processes: Processes):
        self._processes = processes
        self._bar: tqdm | None = None
        self._live = sys.stderr.isatty()
        self._name, self._total, self._done = "", 0, 0
        self._start = self._last = 0.0
        self._before = 0

    def begin(self, name: str, total: int, done: int) -> None:
        if not self._processes.first:
            return
        self.end()
        self._name, self._total, self._done, self._before = name, total, done, done
        self._start = self._last = time.monotonic()
        again = f" ({done:,} are there)" if done else ""
        print(f"{name}: {total:,} articles{again}", flush=True)
        if self._live:
            self._bar = tqdm(total=total, initial=done, desc=name, leave=False, unit=" articles")

    def add(self, n: int) -> None:
        if not self._processes.first:
            return
        self._done = min(self._done + n * self._processes.n, self._total)
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            each = (self._last - self._start) / max(self._done - self._before, 1)
            left = spoken(each * (self._total - self._done))
            print(f"  {self._done:,} of {self._total:,}, {1 / each:.3g} a second, {left} left", flush=True)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def evaluate(settings: EvalSettings, processes: Processes) -> tuple[Run, Measured] | None:
    """The whole run; None in all processes but the first.

    Raises:
        UserError: names, data or the folder are not right.
    """
    jobs = plan(settings)
    with processes.in_turn():
        metrics = metrics_of(settings)
    protos = prototypes(metrics, about="aboutness" in settings.system.metric_list)
    known_figures(settings, protos)
    run = Run(settings)
    with processes.in_turn():
        run.open(jobs, processes) if processes.first else run.join()
    run.scan(jobs)
    PartialState().wait_for_everyone()  # nobody writes before everybody has read
    progress = Progress(processes)
    failed: dict[str, str] = {}
    for job in jobs:
        reason = predict(run, job, metrics, processes, progress)
        if reason:
            failed[job.name] = reason
            processes.say(f"{job.name} has no row: {reason}")
    progress.end()
    if not processes.part():
        return None
    return run, measure(run, jobs, protos, failed)


def _load(job: Job, settings: EvalSettings) -> Summarizer:
    system = parse_system(
        job.spec,
        seed=settings.system.seed,
        generation=job.generation,
        batch_size=settings.system.batch_size,
    )
    _place(system)
    return system


def _place(system: Any) -> None:
    """Moves the models of a system to this process's GPU, where there is one."""
    device = PartialState().device
    if device.type == "cpu":
        return
    if isinstance(getattr(system, "model", None), torch.nn.Module):
        system.model.to(device)
    for part in getattr(system, "systems", ()):
        _place(part)


def _about(job: Job, system: Summarizer) -> dict[str, Any]:
    """What the system says of itself, without paths of this machine."""
    about = system.describe() | {"system": job.name}
    if about["model"]:
        about["model"] = "+".join(public_name(part) for part in about["model"].split("+"))
    return about


def _agree(run: Run, job: Job, processes: Processes, failure: str | None) -> str | None:
    """The first failure that any process has had with a job; all get the same answer."""
    if processes.n == 1:
        return failure
    reasons: list[Any] = [None] * processes.n
    torch.distributed.all_gather_object(reasons, failure)
    return next((reason for reason in reasons if reason), None)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text[:500]}"


def _same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    different = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    if different:
        shown = "\n".join(
            f"  {'the texts of the data' if name == 'fingerprint' else '--' + name}: "
            f"{json.dumps(before.get(name))} -> {json.dumps(now.get(name))}"
            for name in different
        )
        raise UserError(
            f"The run in {folder} was begun otherwise:\n{shown}\n"
            "Give the same settings to go on, choose another --output_dir, or begin anew with --from_start."
        )


def _stamp(spec: str) -> list[list[Any]] | None:
    """Size and time of a local model's weights; None for what is on the Hub, which has a revision."""
    folder = Path(spec.partition(":")[2] if spec.startswith("lora:") else spec)
    if not folder.is_dir():
        return None
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*config.json")])
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _part(split: Split, n: int) -> Split:
    """The first n examples as a split of their own, as `--max_samples` would have read it."""
    if n == len(split.examples):
        return split
    return Split(
        split.name, split.examples[:n], split.dataset, split.config, split.revision, split.skipped, split.rows_read
    )


def _throughput(name: str, seconds: float, n: int, columns: Columns) -> dict[str, Any]:
    words = columns.values.get("source_words")
    return {
        "system": name,
        "seconds": round(seconds, 3),
        "articles": n,
        "articles_per_second": round(n / seconds, 4) if seconds else None,
        "source_words": None if words is None else round(float(np.nanmean(words)), 1),
        "xsum_test_articles": XSUM_TEST,
        "xsum_test_seconds": round(seconds / n * XSUM_TEST, 1),
    }


_MEAN = mean_of([0.0], "").combine


def _is_mean(figure: Figure) -> bool:
    return figure.combine is _MEAN


def _number(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _plain(value: Any) -> Any:
    """The same in JSON's types; what is not defined is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return _number(value)
    return int(value) if isinstance(value, np.integer) else value


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
