"""The run of trainer/eval.py: who summarises what, written down block by block, then measured.

The blocks are made by all processes (trainer/scoring/blocks.py). Process 0 then reads their lines in the order of the
rows into columns of numbers (trainer/scoring/columns.py), and never holds the texts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainer.errors import UserError
from trainer.metrics.registry import METRIC_NAMES, metrics_of
from trainer.runtime.lock import FolderLock
from trainer.runtime.processes import Processes
from trainer.scoring.analysis import analyse
from trainer.scoring.blocks import predict
from trainer.scoring.jobs import USUAL, Job, plan
from trainer.scoring.measure import Measured, measure, wordless_notes
from trainer.scoring.pairs import read_pairs
from trainer.scoring.predictions import figure_kinds
from trainer.scoring.records import Results
from trainer.scoring.run import Run, move_aside
from trainer.settings.base import check_known, public_name
from trainer.settings.evaluation import EvalSettings, ReportSettings


@dataclass(frozen=True)
class Evaluated:
    """What process 0 has when all systems are through.

    Attributes:
        run: the folder with what they wrote, and the pairs.
        results: what results.json holds.
        measured: system → its record and numbers, rows of the audit left out.
        jobs: what was to be done.
        failed: system → reason.
    """

    run: Run
    results: Results
    measured: Mapping[str, Measured]
    jobs: Sequence[Job]
    failed: Mapping[str, str]

    def finish(self) -> None:
        """Puts predictions.jsonl in order; to be called when nobody reads the run any more."""
        self.run.finish([job.name for job in self.jobs], self.failed)


def evaluate(settings: EvalSettings, processes: Processes, lock: FolderLock) -> Evaluated | None:
    """The whole run but for its report, and for `Evaluated.finish` behind that; None in all processes but the first.

    Takes the lock on the folder, which the caller lets go of.

    Raises:
        UserError: names, data or the folder are not right, or another run is at work in the folder.
    """
    system, report = settings.system, settings.report
    check_metrics(system.metric_list)
    jobs = plan(system, settings.decoding.given())
    check_baseline(report.compare_to, jobs)
    with processes.in_turn():
        metrics = metrics_of(system.metric_list, system.encoder, system.nli)
    report = report.fitted([name for metric in metrics for name in metric.figures])
    check_figures(report, figure_kinds(metrics))
    names = [job.name for job in jobs]
    run = Run(settings.output_dir, system.block_size)
    with processes.in_turn():
        if processes.first:
            lock.take(run.folder)
            if report.from_start and (run.folder / "run.json").exists():  # another's folder is refused, not moved
                move_aside(run.folder)
            run.check(names)
            run.folder.mkdir(parents=True, exist_ok=True)
            lock.take(run.folder)
            split = read_pairs(settings.data, report.topic_column, run.pairs, processes.say)
            run.begin(split, settings.identity(), names, processes.say)
            for note in wordless_notes(split) if "rouge" in system.metric_list else ():
                processes.say(note)
        else:
            run.join()
    failed = predict(run, jobs, metrics, processes)
    if not processes.part():
        return None
    made = [job for job in jobs if job.name not in failed]
    measured = measure(run, made, metrics, report.bootstrap_samples, system.seed)
    if report.slice_list and made:
        processes.say("Setting kinds of article apart ...")
    analysis = analyse(measured, failed, run.examples, run.split.dataset, report, system.seed)
    shown = {name: one for name, one in measured.items() if not one.job.audit}
    results = Results([one.evaluation for one in shown.values()], settings.public(), analysis=analysis)
    return Evaluated(run, results, shown, jobs, failed)


def check_metrics(names: Sequence[str]) -> None:
    """That all are metrics, and there is one.

    Raises:
        UserError: with the nearest name.
    """
    for name in names:
        check_known(name, METRIC_NAMES, "metric", "--metrics")
    if not names:
        raise UserError(f"--metrics is empty: name at least one of {', '.join(METRIC_NAMES)}.")


def check_baseline(name: str, jobs: Sequence[Job]) -> None:
    """That the one with whom all others are to be compared is there, and is no bound.

    Raises:
        UserError: with the nearest name.
    """
    if name not in ("best", "all"):
        name = public_name(USUAL.get(name, name))
        systems = [job.name for job in jobs if not job.audit and not job.bound]
        check_known(name, systems, "system", "--compare_to")


def check_figures(report: ReportSettings, names: Iterable[str]) -> None:
    """That what systems are compared by, and slices show, is measured at all.

    Raises:
        UserError: with the nearest name.
    """
    names = list(names)
    for name in report.compare_list:
        check_known(name, names, "figure of these --metrics", "--compare_by")
    if report.slice_list:
        check_known(report.slice_by, names, "figure of these --metrics", "--slice_by")
