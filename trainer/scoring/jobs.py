"""What an evaluation is to do: one job a system, names checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from trainer.errors import UserError
from trainer.scoring.audit import AUDIT, audit_name
from trainer.settings.base import public_name
from trainer.settings.evaluation import EvalSystemSettings
from trainer.summarizers.base import Summarizer
from trainer.summarizers.systems import SEE_REFERENCES, baseline_of, check_system, parse_system

# What "random" and so on mean where no number is given, as in the report's tables.
USUAL = {"lead": "lead-3", "random": "random-1", "textrank": "textrank-1"}


@dataclass(frozen=True)
class Job:
    """One system over the first `rows` pairs.

    Attributes:
        name: what records and tables call it.
        load: makes the system, its models loaded.
        spec: what `parse_system` made it of, so that changed files of a local model are noticed; None where it is made
            otherwise.
        bound: whether it sees the references (`summarize(sources, references)`), and so is no system to be compared
            with.
        audit: whether it is a row of the decoding audit and not of the table.
        required: whether nothing is worth having without it: its errors are raised, others' cost their row only.
    """

    name: str
    load: Callable[[], Summarizer]
    spec: str | None = None
    rows: int | None = None
    bound: bool = False
    audit: bool = False
    required: bool = False


def plan(system: EvalSystemSettings, generation: Mapping[str, Any]) -> list[Job]:
    """One job for each system and each row of the audit.

    Args:
        generation: decoding settings that go over each model's own.

    Raises:
        UserError: no such system, with the nearest name; two with the same name in the tables.
    """
    jobs = [job_of(USUAL.get(spec, spec), system, generation) for spec in system.system_list]
    if system.audit:
        spec = system.audit
        check_system(spec)
        if baseline_of(spec) or spec.startswith("mbr:"):
            raise UserError(f"--audit is {spec!r}: it is a model's decoding that is audited, so name a model.")
        jobs += [
            job_of(spec, system, {**generation, **way}, audit_name(public_name(spec), way), system.audit_samples, True)
            for way in AUDIT
        ]
    names = [job.name for job in jobs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"--systems: two of them would be called {twice} in the tables; rename one's folder.")
    return jobs


def job_of(
    spec: str,
    system: EvalSystemSettings,
    generation: Mapping[str, Any],
    name: str | None = None,
    rows: int | None = None,
    audit: bool = False,
) -> Job:
    """The job of a system that `parse_system` knows.

    Raises:
        UserError: no such system, with the nearest name.
    """
    check_system(spec)
    baseline = baseline_of(spec)
    load = partial(
        parse_system, spec, seed=system.seed, generation=generation, batch_size=system.batch_size, scores=True
    )
    bound = baseline is not None and baseline[0] in SEE_REFERENCES
    return Job(name or public_name(spec), load, spec, rows, bound, audit)
