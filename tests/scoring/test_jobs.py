"""What a system is known to be before it is loaded."""

from trainer.scoring.jobs import Job


def test_jobs_know_bounds():
    assert Job("oracle-2", "oracle-2", {}).bound and not Job("lead-2", "lead-2", {}).bound
    assert Job("references", "references", {}).bound
