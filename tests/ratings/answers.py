"""Ratings for tests."""

import itertools

from trainer.ratings.log import Rating, Side

NUMBERS = itertools.count()


def rating(
    rater: str = "ada",
    article: str = "1",
    better: str | None = "one",
    systems: tuple[str, str] = ("one", "two"),
    grades: tuple[int, int] = (4, 2),
    reference: str | None = "The mill burnt down.",
    texts: tuple[str, str] = ("A mill burnt.", "Nobody was hurt."),
) -> Rating:
    """A rating in which one grade stands for all three questions; `better` None is a tie."""
    sides = [Side(*pair, grade, grade, grade) for *pair, grade in zip(systems, texts, grades, strict=True)]
    preference = "tie" if better is None else ("first", "second")[systems.index(better)]
    key = f"{next(NUMBERS):032x}"
    return Rating(key, "2026-01-01T00:00:00+00:00", rater, article, reference, *sides, preference=preference)
