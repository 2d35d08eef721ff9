"""Published figures, to stand beside measured ones and apart from them.

They were taken by others, with other tools, on the whole official split; they have no examples here, so no interval can
be computed and no test of significance may include them.
"""

import json
from pathlib import Path
from typing import Any

from trainer.settings.evaluation import ALIASES

FILE = Path(__file__).resolve().parents[1] / "records" / "cited.json"


def cited_rows(name: str, dataset: str) -> list[dict[str, Any]]:
    """Rows of trainer/records/cited.json for a data set: `system`, `rouge1` to `rougeL` (F1 × 100), `source`, `split`,
    `tool`.

    Args:
        name: `none`, the short name of a data set, or `auto`: the data set's whose name on the Hub `dataset` is, or
            that gives a local file or its folder its name.
    """
    if name == "auto":
        parts = dataset.lower().replace(".", "/").split("/")
        name = next((alias for alias, data in ALIASES.items() if dataset == data.dataset or alias in parts), "none")
    rows = json.loads(FILE.read_text("utf-8"))
    return [row for row in rows if row["data"] == name]
