"""What an evaluation is to do: one job a system, names checked."""

from dataclasses import dataclass
from typing import Any

from trainer.errors import UserError
from trainer.scoring.audit import AUDIT, audit_name
from trainer.scoring.registry import METRIC_NAMES
from trainer.settings.base import public_name
from trainer.settings.evaluation import EvalSettings, known
from trainer.summarizers.systems import SEE_REFERENCES, baseline_of, check_system

# What "random" and so on mean where no number is given, as in the report's tables.
USUAL = {"lead": "lead-3", "random": "random-1", "textrank": "textrank-1"}


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
