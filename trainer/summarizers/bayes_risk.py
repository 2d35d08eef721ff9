"""Minimum Bayes risk: of several summaries, the one that is most like the others.

Kumar & Byrne 2004 for translation; Eikema & Aziz 2020 with samples as candidates and as evidence. Every candidate
serves as a pseudo-reference for every other, and the one with the highest expected utility is chosen; no reference and
no probability is looked at. Candidates come from several systems, from one (n-best or samples), or both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.errors import UserError
from trainer.metrics.rouge import rouge
from trainer.summarizers.base import Summarizer, Summary

UTILITY = ("rouge1", "rouge2", "rougeL")


class MinimumBayesRisk:
    """Chooses among the summaries of `systems` by their mean ROUGE F1 to one another.

    The utility of two summaries is the mean of their ROUGE-1, ROUGE-2 and ROUGE-L F1; the expected utility of a
    candidate is its mean over all *other* candidates, so copies of one text support each other. Of equals the first is
    taken, in the order of the systems.

    Args:
        systems: those with a method `candidates` give all of them, others their one summary.

    Raises:
        UserError: there is no system.
    """

    def __init__(self, systems: Sequence[Summarizer], *, name: str = "mbr", utility: Sequence[str] = UTILITY):
        if not systems:
            raise UserError("mbr needs at least one system that gives candidates.")
        self.systems = list(systems)
        self.name = name
        self.utility = tuple(utility)

    def summarize(self, sources: list[str]) -> list[Summary]:
        groups = [_candidates(system, sources) for system in self.systems]
        chosen = []
        for row in range(len(sources)):
            candidates = [summary for group in groups for summary in group[row]]
            # Equal utilities differ by rounding: of equals, the first.
            chosen.append(candidates[int(np.argmax(self.expected([one.text for one in candidates]).round(9)))])
        return chosen

    def expected(self, texts: Sequence[str]) -> np.ndarray:
        """The expected utility of each text (n,): its mean similarity to the others; 0 for a single one."""
        different = list(dict.fromkeys(texts))
        places = {text: place for place, text in enumerate(different)}
        rows, columns = np.triu_indices(len(different))
        scores = rouge([different[row] for row in rows], [different[column] for column in columns], self.utility)
        # F1 is symmetric, so one half of the table is enough.
        similar = np.zeros((len(different), len(different)))
        similar[rows, columns] = similar[columns, rows] = np.mean(
            [scores.values[kind][:, 2] for kind in self.utility], axis=0
        )
        index = [places[text] for text in texts]
        table = similar[np.ix_(index, index)]
        return (table.sum(axis=1) - np.diagonal(table)) / max(len(texts) - 1, 1)

    def describe(self) -> dict[str, Any]:
        parts = [system.describe() for system in self.systems]
        formats = dict.fromkeys(part["number_format"] for part in parts if part["number_format"])
        seeds = [part["seed"] for part in parts if part["seed"] is not None]
        return {
            "system": self.name,
            "model": "+".join(str(part["model"] or part["system"]) for part in parts),
            "revision": "+".join(str(part["revision"] or "-") for part in parts)
            if any(part["revision"] for part in parts)
            else None,
            "decoding": {"utility": f"mean fmeasure of {', '.join(self.utility)}", "candidates": parts},
            "number_format": "+".join(formats) or None,
            "seed": seeds[0] if seeds else None,
        }


def _candidates(system: Summarizer, sources: list[str]) -> list[list[Summary]]:
    if hasattr(system, "candidates"):
        return system.candidates(sources)
    return [[summary] for summary in system.summarize(sources)]
