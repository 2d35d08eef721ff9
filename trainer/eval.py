"""Scores any summarisers on any data: `python trainer/eval.py --systems lead-3,space/starter --dataset xsum:test`.

`--help` lists systems, metrics and every setting. `--ratings FILE` weighs what people said on the demo's rating page.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: put the checkout, not trainer/, first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainer.errors import Stopped, UserError
from trainer.runtime.console import steady_output
from trainer.settings.evaluation import EvalSettings
from trainer.settings.ratings import RatingsSettings


def score(settings: EvalSettings) -> None:
    """The whole story; killed anywhere, the same call goes on from where it was."""
    # Imported here, so that --help and a mistyped flag are answered before torch has been loaded.
    from trainer.report.report import write_report
    from trainer.report.sections import printed
    from trainer.runtime.lock import FolderLock
    from trainer.runtime.processes import Processes
    from trainer.scoring.evaluation import evaluate

    with FolderLock() as lock:
        found = evaluate(settings, Processes.join(), lock)
        if found is None:  # the first process goes on alone
            return
        write_report(found, settings.report, settings.system.seed)
        found.finish()
    print(f"\n{printed(found.results)}\n\nResults, predictions and report are in {found.run.folder}.")
    if not found.measured and not found.results.analysis.get("audit"):
        raise Stopped("No system could be scored: the reasons stand above.")


def weigh_ratings(settings: RatingsSettings) -> None:
    """What people said of summaries, as tables and a record."""
    from trainer.ratings.analysis import ratings_record
    from trainer.report.ratings import ratings_text
    from trainer.runtime.files import write_atomically, write_json

    record = ratings_record(settings.ratings, settings.bootstrap_samples, settings.seed)
    write_json(settings.output_dir / "ratings.json", record)
    write_atomically(settings.output_dir / "ratings.md", ratings_text(record, markdown=True) + "\n")
    print(f"{ratings_text(record)}\n\nThe record is {settings.output_dir / 'ratings.json'}.")


@steady_output()
def main(argv: list[str] | None = None) -> int:
    """Returns 0, 2 for something wrong in what was asked or given, 1 for something that went wrong on the way."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if RatingsSettings.asked(argv):
            weigh_ratings(RatingsSettings.parse(argv))
        else:
            score(EvalSettings.parse(argv))
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno is None:
            raise
        print(f"\n{error.strerror} ({error.filename or 'writing the results'}).", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from the last block.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
