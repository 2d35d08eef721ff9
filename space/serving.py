"""Which model answers, and why.

The page must open at once, on a machine that may never reach the Hub. So a small model, the starter, ships
beside this file and answers first, while the wanted model is fetched in the background. It takes over when it
is there in full, has been checked, loads and gives finite numbers; then one attribute changes. A request asks
for the engine once and keeps it, so it ends with the model that it began with. If the wanted model cannot be
had, the status says why, the starter goes on answering, and what time may heal (no network, an outage) is
tried again.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import HfApi

from space.turns import TOGETHER
from trainer.errors import UserError
from trainer.hub.fetch import fetch_model
from trainer.hub.patience import Patience, retry

if TYPE_CHECKING:  # it imports torch, which takes longer than opening the page may
    from space.engine import Engine

STARTER = Path(__file__).resolve().parent / "starter"
STARTER_NAME = "starter"

# Seconds without an answer from the Hub after which the page says that there is none.
SILENCE = 5.0
# Seconds that a request waits for the first model of all, just after the start.
FIRST_MODEL = 600.0
# A Hub that is down or out of reach is asked again, ever more rarely, for as long as the page is up.
PATIENCE = Patience(total=math.inf, first_wait=30, longest_wait=600, silence=SILENCE - 1)


@dataclass(frozen=True)
class Status:
    """What the page says about the models.

    Attributes:
        wanted: Hub name or folder of the model that should answer.
        phase: of the wanted model: "waiting", "asking", "downloading", "loading", "answering" or "failed".
        answering, revision: name and commit of the model that answers now; None before the first has loaded.
        parameters: of the model that answers.
        done, total: bytes of the download.
        reason: why the wanted model cannot be had, as a sentence; None where nothing went wrong.
        next_try: `time.time()` at which the Hub is asked again; None where it is not going to be.
        since: `time.monotonic()` at the start of the phase.
    """

    wanted: str
    phase: str = "waiting"
    answering: str | None = None
    revision: str | None = None
    parameters: int = 0
    done: int = 0
    total: int = 0
    reason: str | None = None
    next_try: float | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def settled(self) -> bool:
        """Whether nothing more is expected to happen soon."""
        return self.phase == "answering" or (self.phase == "failed" and self.answering is not None)


class Serving:
    """Keeps a model at hand from the first moment, and changes over to the wanted one when it is there.

    Args:
        wanted: a name on the Hub (user/name) or a folder.
        revision: branch, tag or commit on the Hub.
        starter: folder of the model that answers first; None: nothing answers before the wanted model.
        endpoint, token, cache_dir: of the Hub's client; by default as its environment variables say.
        together: summaries that are computed together at the most.
        prepare: called with each engine once it answers, in the background (the page computes its example there).
        patience: how what time may heal is tried again; its `silence` is how long the Hub may take to answer.
    """

    def __init__(
        self,
        wanted: str,
        revision: str | None = None,
        *,
        starter: Path | None = STARTER,
        endpoint: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | None = None,
        together: int = TOGETHER,
        prepare: Callable[["Engine"], None] | None = None,
        patience: Patience = PATIENCE,
    ):
        self.together = together
        self._wanted_revision = revision
        self._starter = starter
        self._token = token
        self._endpoint = endpoint
        self._cache_dir = cache_dir
        self._prepare = prepare
        self._patience = patience
        self._changed = threading.Condition()
        self._engine: Engine | None = None
        self._starter_error: UserError | None = None
        self._starter_done = False
        self._status = Status(wanted)

    def start(self) -> "Serving":
        """Begins to load and to fetch, in the background. Call it once."""
        if self._starter is None:
            self._starter_done = True
        else:
            threading.Thread(target=self._load_starter, name="starter", daemon=True).start()
        threading.Thread(target=self._have_wanted, name="wanted", daemon=True).start()
        return self

    def status(self) -> Status:
        """The state of this moment."""
        with self._changed:
            status = self._status
        if status.phase == "asking" and status.reason is None and time.monotonic() - status.since > SILENCE:
            return replace(status, reason=f"the Hub has not answered within {SILENCE:.0f} seconds (still waiting).")
        return status

    def ready(self) -> "Engine | None":
        """The model that answers now, None before the first has loaded; never waits."""
        with self._changed:
            return self._engine

    def engine(self, wait: float = FIRST_MODEL) -> "Engine":
        """The model that answers now. Ask once a request, and keep it to the request's end.

        Just after the start there is none yet; then this waits, `wait` seconds at most.

        Raises:
            UserError: no model could be loaded.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._engine is not None or self._hopeless(), wait)
            if self._engine is not None:
                return self._engine
            if self._hopeless():
                raise UserError(f"No model can answer. {self._starter_error} {self._status.reason}")
        raise UserError("The first model is still being loaded. Try again in a minute.")

    def _hopeless(self) -> bool:
        return self._starter_error is not None and self._status.phase == "failed"

    # --- In the background ----------------------------------------------------------------------------------

    def _load_starter(self) -> None:
        try:
            from space.engine import Engine

            engine = Engine.load(self._starter, name=STARTER_NAME, together=self.together)
        except Exception as error:
            self._starter_error = UserError(f"The starter does not load: {_sentence(error)}")
        else:
            self._take(engine, only_if_none=True)
        with self._changed:
            self._starter_done = True
            self._changed.notify_all()

    def _have_wanted(self) -> None:
        """Gets and loads the wanted model; comes back to it later where waiting may help."""

        def attempt() -> None:
            try:
                self._load_wanted(*self._fetch())
            except Exception as error:
                self._set(phase="failed", reason=_sentence(error))
                raise

        with suppress(Exception):  # final: the status holds the sentence
            retry(
                attempt,
                f"fetching {self._status.wanted}",
                patience=self._patience,
                say=lambda _: None,
                waiting=lambda seconds: self._set(next_try=time.time() + seconds),
            )

    def _fetch(self) -> tuple[Path, str | None]:
        """Folder and commit of the wanted model; what is not in the cache is downloaded."""
        wanted = self._status.wanted
        if not Path(wanted).is_dir():
            self._set(phase="asking", reason=None, next_try=None)
        return fetch_model(
            wanted,
            self._wanted_revision,
            api=HfApi(endpoint=self._endpoint, token=self._token),
            cache_dir=self._cache_dir,
            patience=replace(self._patience, total=0),  # a whole attempt is tried again, not a part of it
            progress=lambda done, total: self._set(phase="downloading", done=done, total=total) if total else None,
            say=lambda text: self._set(reason=text),  # that a copy in the cache is used, and why
        )

    def _load_wanted(self, folder: Path, revision: str | None) -> None:
        self._set(phase="loading")
        with self._changed:  # two that load at once are slower than one after the other, and the page needs one
            self._changed.wait_for(lambda: self._starter_done)
        from space.engine import Engine

        self._take(Engine.load(folder, name=self._status.wanted, revision=revision, together=self.together))

    def _take(self, engine: "Engine", only_if_none: bool = False) -> None:
        """The change-over."""
        with self._changed:
            if only_if_none and self._engine is not None:
                return
            self._engine = engine
            mine = engine.name == self._status.wanted
            self._status = replace(
                self._status,
                answering=engine.name,
                revision=engine.revision,
                parameters=engine.parameters,
                phase="answering" if mine else self._status.phase,
            )
            self._changed.notify_all()
        if self._prepare is not None:
            threading.Thread(target=self._prepare, args=(engine,), name="prepare", daemon=True).start()

    def _set(self, **changes) -> None:
        with self._changed:
            if "phase" in changes and changes["phase"] != self._status.phase:
                changes["since"] = time.monotonic()
            self._status = replace(self._status, **changes)
            self._changed.notify_all()


def label_of(name: str) -> str:
    """What visitors are told a model is called: a Hub name as it is, of a folder the last part of its path."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
