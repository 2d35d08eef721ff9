"""Studies of what matters: `python trainer/study.py ablate --study FILE`, and `sweep` in its place.

`python trainer/study.py ablate --help` lists every setting of that study.
"""

import sys
from functools import partial
from pathlib import Path

if __package__ in (None, ""):  # run as a file: put the checkout, not trainer/, first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainer.errors import UserError
from trainer.runtime.console import steady_output
from trainer.settings.base import check_known
from trainer.settings.studies import (
    AblationSettings,
    AttentionSettings,
    FaithfulnessSettings,
    SweepSettings,
    TransferSettings,
    parse_explanation_study,
    parse_robustness,
    parse_training_study,
)

PARSERS = {
    "ablate": partial(parse_training_study, kind=AblationSettings),
    "sweep": partial(parse_training_study, kind=SweepSettings),
    "transfer": partial(parse_training_study, kind=TransferSettings),
    "robustness": parse_robustness,
    "faithfulness": partial(parse_explanation_study, kind=FaithfulnessSettings),
    "attention": partial(parse_explanation_study, kind=AttentionSettings),
}

USAGE = """usage: python trainer/study.py KIND [--study NAME|FILE] [--flag value ...]

  ablate        a base, and the same with one thing changed, several seeds each
  sweep         combinations of settings: the best on the validation pairs, and by how much
  transfer      trained on each of several data sets, tested on all
  robustness    summarisers on noisy and biased articles: what ROUGE loses, what planted falsehood comes through
  faithfulness  attribution methods: which of them says what the model does, and at what cost
  attention     where a model looks: by position, first sentence, names, numbers, function words

python trainer/study.py KIND --help lists the settings of each."""


def study(kind: str, argv: list[str]) -> None:
    """The whole story; killed anywhere, the same call goes on, and several calls at once share the trials."""
    settings = PARSERS[kind](argv)
    # Imported here, so that --help and a mistyped flag are answered before torch has been loaded.
    from trainer.runtime.processes import Processes
    from trainer.studies.ablation import ablate
    from trainer.studies.attention import attention
    from trainer.studies.faithfulness import faithfulness
    from trainer.studies.robustness import robustness
    from trainer.studies.sweep import sweep
    from trainer.studies.transfer import transfer

    say = Processes.join().say
    studies = {
        "ablate": ablate,
        "sweep": sweep,
        "transfer": transfer,
        "robustness": robustness,
        "faithfulness": faithfulness,
        "attention": attention,
    }
    found = studies[kind](settings, say)
    say(f"\n{found.text}\n\nRecords, table and plot are in {settings.output_dir}.")


@steady_output()
def main(argv: list[str] | None = None) -> int:
    """Returns 0, 2 for something wrong in what was asked or given, 1 for something that went wrong on the way."""
    kind, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if kind in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        check_known(kind, PARSERS, "study")
        study(kind, rest)
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
