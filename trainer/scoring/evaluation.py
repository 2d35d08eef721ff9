"""The run of trainer/eval.py: who summarises what, written down block by block, then measured.

The blocks are made by all processes (trainer/scoring/blocks.py). Process 0 then reads their lines in the order of the
rows into columns of numbers (trainer/scoring/columns.py), and never holds the texts.
"""

from accelerate import PartialState

from trainer.runtime.processes import Processes
from trainer.scoring.blocks import Progress, predict
from trainer.scoring.columns import prototypes
from trainer.scoring.jobs import plan
from trainer.scoring.measure import Measured, known_figures, measure
from trainer.scoring.registry import metrics_of
from trainer.scoring.run import Run
from trainer.settings.evaluation import EvalSettings


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
