"""The decoding audit: one model, its summaries cut and searched for in the ways that published figures were.

Most scores on T5 cards were taken at transformers' default of 20 new tokens, papers use beams with a length penalty of
their own, demos sample. None of that is the model, and all of it moves ROUGE (transformers#10032, #30361).
"""

from collections.abc import Mapping
from typing import Any

LIMITS = (20, 64, 128)
LENGTH_PENALTIES = (0.6, 1.0, 2.0)
BEAMS = 4

_GREEDY = {"num_beams": 1, "do_sample": False}
# From the whole distribution: no top-k, which transformers would set to 50 behind one's back.
_SAMPLED = {"num_beams": 1, "do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0}
AUDIT: tuple[dict[str, Any], ...] = tuple(
    {"max_new_tokens": limit, "candidates": 1, **search}
    for search in (
        _GREEDY,
        *({"num_beams": BEAMS, "do_sample": False, "length_penalty": penalty} for penalty in LENGTH_PENALTIES),
        _SAMPLED,
    )
    for limit in LIMITS
)


def search_name(way: Mapping[str, Any]) -> str:
    """`greedy`, `sampled` or `beam 4, length penalty 0.6`, of decoding settings or of a record's."""
    if way.get("do_sample"):
        return "sampled"
    if way.get("num_beams", 1) == 1:
        return "greedy"
    return f"beam {way['num_beams']}, length penalty {way['length_penalty']:g}"


def audit_name(system: str, way: Mapping[str, Any]) -> str:
    """What predictions.jsonl calls a row of the audit."""
    return f"{system} [{way['max_new_tokens']} tokens, {search_name(way)}]"
