"""The one protocol: what evaluation, studies and the demo ask of a system, and what they get back."""

from dataclasses import dataclass
from typing import Any, Protocol

from trainer.errors import UserError


@dataclass(frozen=True)
class Summary:
    """One summary and how much of the source it is made from.

    Attributes:
        text: the summary; may be empty.
        score: log probability of the summary / its length ** length_penalty where beam search gives it, else
            None.
        tokens_read: tokens that reached the system, prefix and end token included (words, where it has no
            tokenizer).
        tokens_total: tokens of the whole source, counted the same way; more than `tokens_read` if it was cut.
        tokens_written: tokens generated, the end token included; None where nothing is generated.
        finished: False if the limit of new tokens cut the summary off.
    """

    text: str
    score: float | None
    tokens_read: int
    tokens_total: int
    tokens_written: int | None = None
    finished: bool = True


class Summarizer(Protocol):
    """What evaluation, studies and the demo ask of a system."""

    def summarize(self, sources: list[str]) -> list[Summary]:
        """One summary for each source, in their order."""
        ...

    def describe(self) -> dict[str, Any]:
        """`system`, `model`, `revision`, `decoding`, `number_format` and `seed` for a record; JSON values."""
        ...


def positive(name: str, n: int) -> int:
    """`n` itself; a UserError that says `name` where it is below 1."""
    if n < 1:
        raise UserError(f"{name} is {n}: it must be 1 or more.")
    return n
