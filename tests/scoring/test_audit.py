"""The ways of decoding that are audited."""

from trainer.scoring.audit import AUDIT, audit_name, search_name


def test_the_audit_is_the_grid_of_the_issue():
    assert len(AUDIT) == 15 and len({audit_name("m", way) for way in AUDIT}) == 15
    assert search_name({"num_beams": 4, "length_penalty": 2.0}) == "beam 4, length penalty 2"
    assert search_name({"num_beams": 1}) == "greedy" and search_name({"do_sample": True}) == "sampled"
