"""What a system is known to be before it is loaded."""

from trainer.scoring.jobs import plan
from trainer.settings.evaluation import EvalSystemSettings


def test_jobs_know_bounds():
    system = EvalSystemSettings(systems="oracle-2,lead-2,references")
    assert [(job.name, job.bound) for job in plan(system, {})] == [
        ("oracle-2", True),
        ("lead-2", False),
        ("references", True),
    ]
