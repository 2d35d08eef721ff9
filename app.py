"""The demo: opens a page that summarises, scores and explains. Also the Space's app file.

the report's model from the Hub, and until it is there the shipped starter:
  python app.py
a model in a folder:
  python app.py --model runs/my-model/model
a revision of a model on the Hub, on another port:
  python app.py --model ada/t5-small-news --revision v2 --port 8000
"""

import argparse
import errno
import os
import signal
import socket
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

# Gradio and the Hub's client read these when they are imported: nothing is counted, and nobody is told of a
# visit.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Nor is a table made of the last 10,000 requests after each one.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Else transformers asks the Hub to convert a model's .bin, in a thread of its own, and may send the token
# along.
os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
# Threads that wait spin otherwise: where others use the processor too, an explanation then takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from space.serving import Serving
from space.turns import TOGETHER
from trainer.errors import UserError
from trainer.hub.names import can_be_name
from trainer.runtime.memory import few_arenas
from trainer.settings.machine import PageFormatter

if TYPE_CHECKING:  # Gradio's variables are checked before anything of the page is imported
    from space.rating import Desk

DEFAULT_MODEL = "st3rl4nce/t5-small-finetuned-xsum"


def main(argv: list[str] | None = None) -> int:
    options = _parse(argv)
    few_arenas()
    try:
        _check_environment()
        # Imported here: Gradio reads its variables, and can't be imported where one is wrong.
        from space import page
        from space.answering import warm
        from space.rating import Desk

        serving = Serving(
            _model(options.model, options.revision), options.revision, together=options.batch, prepare=warm
        )
        if reason := _why_not_served(options.host, options.port):
            print(f"app.py: {reason}", file=sys.stderr)
            return 1
        others = [Serving(_model(name, None, "--compare"), starter=None) for name in options.compare]
        desk = Desk(options.rate) if options.rate else None
        demo = page.build(serving, others, desk)
        with _copied(desk, options.rate_dataset):
            # Importing torch takes seconds of processor time: the page opens first.
            demo.launch(
                server_name=options.host,
                server_port=options.port,
                inbrowser=options.open,
                prevent_thread_lock=True,
                **page.launch_options(),
            )
            for one in (serving, *others):
                one.start()
            demo.block_thread()
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        reason = error.strerror or "no port is free where it looks"  # Gradio's own sentence names no flag of ours
        print(f"app.py: the page can't be served: {reason}. Name a free port with --port.", file=sys.stderr)
        return 1
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="app.py",
        usage="python app.py [--flag value ...]",
        description=__doc__,
        formatter_class=PageFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL_ID") or DEFAULT_MODEL,
        metavar="USER/NAME|FOLDER",
        help="T5 of the Hub or in a folder. Left out: MODEL_ID of the environment, else %(default)s.",
    )
    parser.add_argument("--revision", help="Branch, tag or commit of the model on the Hub. Left out: main.")
    parser.add_argument(
        "--compare",
        type=lambda names: [name.strip() for name in names.split(",") if name.strip()],
        default=[],
        metavar="MODEL,…",
        help="Further models, of the Hub or in folders, that visitors may compare summaries with.",
    )
    parser.add_argument(
        "--rate",
        type=Path,
        metavar="FILE|FOLDER",
        help="Open a page, /rate, where people compare the summaries in FILE (JSON Lines of id, article and summaries) "
        "or in a FOLDER that trainer/eval.py wrote. Their answers are kept beside it, in ….ratings.jsonl.",
    )
    parser.add_argument(
        "--rate_dataset",
        metavar="USER/NAME",
        help="With --rate: data set of the Hub that gets the answers in batches. It is made, private, if need be.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="Port of the page. Left out: GRADIO_SERVER_PORT, else the first free one from 7860 up.",
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        help="Address to listen on. Left out: GRADIO_SERVER_NAME, else this machine only (127.0.0.1).",
    )
    parser.add_argument(
        "--batch",
        type=_batch,
        default=TOGETHER,
        metavar="N",
        help="Most summaries that are computed together when several people wait. Left out: %(default)s.",
    )
    parser.add_argument("--open", action="store_true", help="Open the page in the browser.")
    options = parser.parse_args(argv)
    if options.rate_dataset and not options.rate:
        parser.error("argument --rate_dataset: what it keeps comes from --rate, which is left out")
    return options


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: it must be a whole number from 1 to 65535")
    return int(text)


def _batch(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of summaries: it must be a whole number from 1 to 64")
    return int(text)


def _check_environment() -> None:
    """Raises `UserError` for what would keep Gradio from being imported: it reads these variables then."""
    for name in ("GRADIO_SERVER_PORT", "GRADIO_NUM_PORTS", "GRADIO_NUM_WORKERS", "GRADIO_DEBUG"):
        value = os.environ.get(name)
        if value is not None and not value.isdecimal():
            raise UserError(f"{name} is {value!r} in the environment: it must be a whole number. Mend or unset it.")
    for name in ("NO_PROXY", "no_proxy"):
        if "[" in os.environ.get(name, ""):
            raise UserError(f"{name} is {os.environ[name]!r} in the environment: ::1 stands there without brackets.")


def _why_not_served(host: str | None, port: int | None) -> str | None:
    """What keeps the page from being served there, by the name that was typed; None where nothing does.

    Gradio, asked to listen there, would say in every case that it finds no free port.
    """
    name, address = ("--host", host) if host else ("GRADIO_SERVER_NAME", os.environ.get("GRADIO_SERVER_NAME", ""))
    address = address or "127.0.0.1"
    try:
        socket.create_server((address, port or 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            return f"{name} is {address!r}: this machine has no such address. Without it the page is at 127.0.0.1."
        reason = "a program listens there already" if error.errno == errno.EADDRINUSE else error.strerror
        return (
            f"the page can't be served on port {port}: {reason}. "
            "Give another --port, or leave it out for the first free one."
        )
    return None


def _copied(desk: "Desk | None", dataset: str | None) -> AbstractContextManager:
    """A block in which the answers of raters are copied to a data set of the Hub, if they are to be."""
    if desk is None or dataset is None:
        return nullcontext()
    from trainer.ratings.hub_copy import HubCopy

    # A Space that is stopped gets this signal: the last answers should reach the Hub.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return HubCopy(desk.log, dataset)


def _model(name: str, revision: str | None, flag: str = "--model") -> str:
    """`name` if it can be a model.

    Raises:
        UserError: it is neither a folder nor of the form of a name on the Hub, or a folder with a revision.
    """
    if Path(name).is_dir():
        if revision is not None:
            raise UserError(
                f"--revision is {revision!r}, but --model {name} is a folder, which has none: leave it out."
            )
        return name
    if not can_be_name(name):
        raise UserError(f"{flag} is {name!r}: there is no such folder, and a name on the Hub looks like user/name.")
    return name


if __name__ == "__main__":
    sys.exit(main())
