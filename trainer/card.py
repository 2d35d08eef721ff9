"""Draws the card of a finished model again, with what people have to say beside the figures.

    python trainer/card.py runs/my-run/model --card_notes notes.yaml

The figures stay as they were measured: they come from the folder's results.json, which the notes are added to. Notes
that were there before are replaced by those that the file holds. What the file may hold:

    provenance:            # what the model was made from, as a table
      - {name: …, licence: …, size: …, use: …}
    notes: |               # Markdown
    usage: …               # a sentence behind the licence
"""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: put the checkout, not trainer/, first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainer.errors import UserError
from trainer.publish import write_card
from trainer.results import Results
from trainer.settings import read_card_notes


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 2 where the folder or the notes are not what they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of a finished model, with its results.json")
    parser.add_argument("--card_notes", type=Path, metavar="FILE", help="YAML file with provenance, notes and usage")
    parser.add_argument("--license", help="licence named on the card, in place of the one that training was given")
    options = parser.parse_args(argv)
    try:
        redraw(options.folder, options.card_notes, options.license)
    except UserError as error:
        print(f"card.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def redraw(folder: Path, card_notes: Path | None = None, license: str | None = None) -> Path:
    """Adds notes and licence to `<folder>/results.json`, writes `<folder>/README.md` from it and returns its path.

    Raises:
        UserError: the folder has no results.json, or the notes are malformed.
    """
    results = Results.load(folder / "results.json")
    if card_notes is not None:
        results.training.update(read_card_notes(card_notes))
    if license is not None:
        results.settings["hub"]["license"] = license
    results.save(folder / "results.json")
    return write_card(folder)


if __name__ == "__main__":
    sys.exit(main())
