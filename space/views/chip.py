"""Who answers: one chip with model, size and commit; it opens to scores, limits and what became of the wanted model."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.markup import escape
from space.serving import STARTER_NAME, Status, label_of
from trainer.data.sentences import split_sentences
from trainer.runtime.figures import with_interval
from trainer.runtime.sizes import spoken_size

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Engine

# "([Errno 111] Connection refused)" and "(ConnectTimeout)" say nothing to a visitor.
_ERRNO = re.compile(r" ?\(\[Errno [^()]*\)| ?\(\w*(?:Error|Timeout|Exception)\)")


def chip(status: Status, engine: "Engine | None") -> str:
    """The chip as HTML; `engine` is the model that answers now, if any has loaded."""
    state = "ok" if status.phase == "answering" else "failed" if status.phase == "failed" else "moving"
    wanted = _wanted(status) if status.phase != "answering" or status.reason else ""
    body = (_about(engine) if engine else "") + wanted
    return (
        f'<details class="chip status {state}"><summary><span class="dot"></span>'
        f'<span role="status">{_head(status)}</span></summary><div class="chip-body">{body}</div></details>'
    )


def _head(status: Status) -> str:
    if status.answering is None:
        return "Loading the first model…"
    size = f"{status.parameters / 1e6:.1f} million parameters"
    revision = f" <code>{escape(status.revision[:7])}</code>" if status.revision else ""
    what = ", the demo’s own small model" if status.answering == STARTER_NAME else ""
    head = f"<b>{escape(label_of(status.answering))}</b>{revision}{what}, {size}"
    wanted = escape(label_of(status.wanted).rpartition("/")[2])
    match status.phase:
        case "downloading":
            head += f" · fetching {wanted}: {100 * status.done / status.total:.0f}%" if status.total else ""
        case "loading":
            head += f" · loading {wanted}"
        case "failed":
            head += f" · why not {wanted}?"
    return head


def _about(engine: "Engine") -> str:
    own = engine.own_decoding
    if engine.name == STARTER_NAME:
        what = "The starter, a small model that ships with this demo: a stand-in where no other can be had."
    else:
        what = f"{engine.label}, with {engine.parameters:,} parameters."
    way = (
        "It chooses one of the article’s own sentences"
        if own.get("choose_from") == "sentences"
        else f"It writes at most {own['max_new_tokens']} new tokens"
    )
    limits = f"{way} and reads the first {own['max_source_length']:,} tokens. English only; it may be wrong."
    scores = measured(engine.folder) if engine.folder else None
    scores = scores or "No measured scores came with it."
    return f"<p>{escape(what)} {escape(limits)}</p><p>{escape(scores)}</p>"


def measured(folder: Path) -> str | None:
    """ROUGE of a model by the `results.json` in its folder, as a sentence; None where none can be read."""
    try:
        record = json.loads((folder / "results.json").read_text("utf-8"))["evaluations"][0]
        metrics, data = record["metrics"], record["data"]
        figures = ", ".join(f"ROUGE-{name} {_figure(metrics[f'rouge{name}_fmeasure'])}" for name in ("1", "2", "L"))
        return f"Measured: {figures} (F1 × 100, 95% intervals) on {data['n']:,} articles of {data['dataset']}."
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _figure(metric: dict[str, Any]) -> str:
    return with_interval(metric["value"], metric["low"], metric["high"], digits=1)


def _wanted(status: Status) -> str:
    """What has become of the wanted model, in one plain sentence, and when it is tried again."""
    name = f"<b>{escape(label_of(status.wanted))}</b>"
    reason = escape(plain(status.reason)) if status.reason else ""
    match status.phase:
        case "waiting" | "asking":
            return f"<p>Asking the Hub for {name}. {reason}</p>"
        case "downloading":
            part = 100 * status.done / status.total if status.total else 0
            far = f"{spoken_size(status.done)} of {spoken_size(status.total)}"
            return (
                f"<p>Fetching {name}: {far}. It takes over when it is here.</p>"
                f'<div class="bar" role="progressbar" aria-label="download" aria-valuemin="0" aria-valuemax="100" '
                f'aria-valuenow="{part:.0f}"><i style="width:{part:.1f}%"></i></div>'
            )
        case "loading":
            return f"<p>Loading {name}; it takes over in a moment. {reason}</p>"
        case "answering":  # from the cache of an earlier download
            return f"<p>{reason}</p>"
    again = ""
    if status.next_try is not None:
        when = datetime.fromtimestamp(status.next_try, UTC)
        again = f' Next try at <time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{when:%H:%M} UTC</time>.'
    return f'<p class="wanted">{reason}{again}</p>'


def plain(reason: str) -> str:
    """The first sentence of a reason, without numbers of the operating system's errors."""
    first = next(iter(split_sentences(_ERRNO.sub("", reason))), reason)
    return first[:1].upper() + first[1:]


def takeover(shown_by: "Engine | None", engine: "Engine | None") -> str:
    """That another model answers now than the one that what is shown is by; empty where it is the same."""
    if shown_by is None or engine is None or shown_by is engine:
        return ""
    name = escape(engine.label)
    return (
        f'<div class="notice takeover" role="status"><p><b>{name}</b> answers now; what is shown is by '
        f'{escape(shown_by.label)}. <button type="button" data-do="run">Ask {name}</button></p></div>'
    )
