"""Every knob of trainer/eval.py --ratings, in the manner of `trainer.settings.evaluation`."""

from collections.abc import Sequence

from trainer.settings.evaluation import ReportSettings
from trainer.settings.machine import REQUIRED, File, Group, SettingsParser, group, setting


@group
class RatingsSettings(Group):
    """What people said of summaries."""

    ratings: File = setting(REQUIRED, metavar="FILE")
    """Answers that `python app.py --rate` saved (….ratings.jsonl)."""
    output_dir: File = setting(REQUIRED, metavar="FOLDER")
    """Folder for ratings.json (every figure with interval, n and signature) and ratings.md (the tables)."""
    bootstrap_samples: int = setting(ReportSettings.bootstrap_samples, ge=100, le=100_000)
    """Resamples of the articles behind each 95% interval."""
    seed: int = setting(42, ge=0, le=2**32 - 1)
    """Seed of the resampling."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> "RatingsSettings":
        """Prints the page and exits for `--help`.

        Raises:
            UserError: an unknown flag, a value that can't be read or makes no sense.
        """
        parser = SettingsParser(
            [cls],
            prog="eval.py",
            usage="python trainer/eval.py --ratings FILE --output_dir FOLDER [--flag value ...]",
            description=(
                "Who wins how often, mean grades, how far raters agree (Krippendorff's alpha), and how their ratings\n"
                "correlate with ROUGE and token F1. Defaults stand in [brackets]."
            ),
        )
        (settings,) = parser.parse(argv)
        return settings

    @staticmethod
    def asked(argv: Sequence[str]) -> bool:
        """Whether a command line of trainer/eval.py is about ratings."""
        return any(word.partition("=")[0] == "--ratings" for word in argv)
