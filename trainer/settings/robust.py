"""The settings that make a training harder on purpose, so that its model is less easily thrown off."""

from typing import Literal

from trainer.errors import UserError
from trainer.settings.base import check_known
from trainer.settings.machine import Group, Text, group, listed, setting

# The kinds of noise of trainer/data/noise.py, and the greatest strength of each: a share, or a number of lines.
NOISES = {
    "typos": 1.0,
    "OCR errors": 1.0,
    "dropped words": 1.0,
    "swapped words": 1.0,
    "lost case": 1.0,
    "lost punctuation": 1.0,
    "shuffled sentences": 1.0,
    "truncated": 1.0,
    "web furniture": 100.0,
}


@group
class RobustSettings(Group):
    """How it is made robust."""

    noise: Text | None = setting(None, metavar="KIND:STRENGTH,…")
    """Kinds of noise (trainer/data/noise.py; _ may stand for a blank) with a strength each: a share, or lines of web
    furniture. Part of the training articles is read as noisy copies; each copy has one of the kinds."""
    noise_share: float = setting(0.5, metavar="SHARE", gt=0, le=1)
    """With --noise: how many of the articles are read as noisy copies, drawn anew in each epoch."""
    adversarial: Literal["fgm", "freelb"] | None = None
    """Also learn from articles whose embeddings are moved to where the loss rises most. fgm: one such step, and the
    loss is the plain one plus that of the moved (Miyato et al. 2017), twice the time; freelb: the mean of several
    steps from a random start (Zhu et al. 2020)."""
    adversarial_epsilon: float = setting(10.0, metavar="NORM", gt=0)
    """How far the embeddings of an article are moved: the L2 norm over all its tokens, at most. (Unmoved, 128 tokens of
    trainer/base have 420.)"""
    adversarial_step_size: float = setting(5.0, metavar="NORM", gt=0)
    """freelb only: how far a single step moves them."""
    adversarial_steps: int = setting(3, ge=1)
    """freelb only: steps, each of which takes as long as a plain training step."""
    r_drop: float | None = setting(None, metavar="ALPHA", gt=0)
    """Read each batch twice with other dropout; the loss is that of both readings plus ALPHA times the mean of their
    Kullback-Leibler divergences (R-Drop, Liang et al. 2021). About twice the time."""

    def check(self) -> None:
        parse_noises(self.noise or "", "--noise")
        if self.adversarial and self.r_drop is not None:
            raise UserError(
                "--adversarial and --r_drop are given together: each repeats every batch; give one of them."
            )
        if self.adversarial == "freelb" and self.adversarial_step_size > 2 * self.adversarial_epsilon:
            raise UserError(
                f"--adversarial_step_size is {self.adversarial_step_size:g}: a step over twice --adversarial_epsilon "
                f"({self.adversarial_epsilon:g}) leads out of what is allowed, wherever it starts."
            )

    @property
    def noises(self) -> list[tuple[str, float]]:
        """(kind, strength) of each noise."""
        return parse_noises(self.noise or "", "--noise")


def parse_noises(text: str, flag: str) -> list[tuple[str, float]]:
    """(kind, strength) of each part of `typos:0.1,web_furniture:2`.

    Raises:
        UserError: an unknown kind, with the nearest; a strength that is no number or out of bounds; a kind twice.
    """
    found: dict[str, float] = {}
    for part in listed(text):
        name, _, strength = part.partition(":")
        name = name.strip().replace("_", " ")
        check_known(name, NOISES, "kind of noise", flag)
        try:
            value = float(strength)
        except ValueError:
            raise UserError(f"{flag} is {text}: {part} must be KIND:STRENGTH, as in typos:0.1.") from None
        most = NOISES[name]
        if not 0 < value <= most or (most > 1 and value != int(value)):
            right = "a share over 0 and at most 1" if most == 1 else f"a whole number from 1 to {most:g}"
            raise UserError(f"{flag} is {text}: the strength of {name} is {right}, and not {strength.strip()}.")
        if name in found:
            raise UserError(f"{flag} is {text}: it names {name} twice.")
        found[name] = value
    return list(found.items())
