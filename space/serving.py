"""Which model answers, and why.

The page must open at once, on a machine that may never reach the Hub. So a small model, the starter, ships
beside this file and answers first, while the wanted model is fetched in the background. It takes over when it
is there in full, has been checked, loads and gives finite numbers; then one attribute changes. A request asks
for the engine once and keeps it, so it ends with the model that it began with. If the wanted model cannot be
had, the status says why, the starter goes on answering, and what time may heal (no network, an outage) is
tried again.
"""

import hashlib
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from tqdm.auto import tqdm

from trainer.errors import UserError
from trainer.hub.explain import explain
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
# What a model needs besides its weights; everything else in a repository (other frameworks' weights,
# optimizer states, pictures) is left where it is.
_SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
)

# Weights, the best kind first: a file whose presence shows the kind, and the shards that come with it.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*.bin"),
)


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
        starter: folder of the model that answers first.
        endpoint, token, cache_dir: of the Hub's client; by default as its environment variables say.
        prepare: called with each engine once it answers, in the background (the page computes its example there).
        patience: how what time may heal is tried again; its `silence` is how long the Hub may take to answer.
    """

    def __init__(
        self,
        wanted: str,
        revision: str | None = None,
        *,
        starter: Path = STARTER,
        endpoint: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | None = None,
        prepare: Callable[["Engine"], None] | None = None,
        patience: Patience = PATIENCE,
    ):
        self._wanted_revision = revision
        self._starter = starter
        self._token = token
        self._endpoint = endpoint
        self._cache_dir = cache_dir or Path(constants.HF_HUB_CACHE)
        self._prepare = prepare
        self._patience = patience
        self._changed = threading.Condition()
        self._engine: Engine | None = None
        self._starter_error: UserError | None = None
        self._starter_done = False
        self._status = Status(wanted)

    def start(self) -> "Serving":
        """Begins to load and to fetch, in the background. Call it once."""
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

            engine = Engine.load(self._starter, name=STARTER_NAME)
        except Exception as error:
            self._starter_error = UserError(f"The starter does not load: {_sentence(error)}")
        else:
            self._take(engine, only_if_none=True)
        with self._changed:
            self._starter_done = True
            self._changed.notify_all()

    def _have_wanted(self) -> None:
        """Gets and loads the wanted model; comes back to it later where waiting may help."""
        folder = Path(self._status.wanted)
        where = "" if folder.is_dir() else f"fetching {self._status.wanted}"

        def attempt() -> None:
            try:
                self._load_wanted(*((folder, None) if folder.is_dir() else self._fetch()))
            except Exception as error:
                sentence = explain(error, self._status.wanted, where) if where else error
                self._set(phase="failed", reason=_sentence(sentence))
                raise

        try:
            retry(attempt, where or f"loading {folder}", patience=self._patience, say=lambda _: None)
        except Exception:  # final: the status holds the sentence
            return

    def _fetch(self) -> tuple[Path, str]:
        """Downloads the wanted model as far as it is not in the cache; its folder and commit."""
        name = self._status.wanted
        self._set(phase="asking", reason=None)
        api = HfApi(endpoint=self._endpoint, token=self._token)
        try:
            info = api.model_info(name, revision=self._wanted_revision, files_metadata=True)
        except Exception as error:
            # A no of the Hub itself stands: an older copy would hide it.
            response = getattr(error, "response", None)
            refused = response is not None and response.status_code in (401, 403, 404)
            cached = None if refused else self._cached(name)
            if cached is None:
                raise
            self._set(reason=f"{_sentence(explain(error, name, f'asking for {name}'))} The copy in the cache is used.")
            return cached
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        files = _needed(name, sizes)
        total = sum(sizes[file] for file in files)
        self._check_room(total)
        self._set(phase="downloading", done=0, total=total)
        folder = Path(
            snapshot_download(
                name,
                # Not info.sha: only under the name that was asked for will the cache be found without a network.
                revision=self._wanted_revision,
                allow_patterns=files,
                cache_dir=self._cache_dir,
                endpoint=self._endpoint,
                token=self._token,
                etag_timeout=SILENCE,
                tqdm_class=_progress(lambda done: self._set(done=min(done, total))),
            )
        )
        self._set(done=total)
        if folder.name == info.sha:  # else the branch has moved meanwhile, and these digests are not of these files
            _verify(folder, {f.rfilename: f.lfs.sha256 for f in info.siblings or () if f.lfs and f.rfilename in files})
        return folder, folder.name

    def _cached(self, name: str) -> tuple[Path, str] | None:
        """Folder and commit of a whole copy of an earlier download, or None."""
        for weights in _WEIGHTS:
            with suppress(LocalEntryNotFoundError, UserError, OSError):
                folder = Path(
                    snapshot_download(
                        name,
                        revision=self._wanted_revision,
                        allow_patterns=[*_SMALL_FILES, *weights],
                        cache_dir=self._cache_dir,
                        local_files_only=True,
                    )
                )
                _needed(name, [file.name for file in folder.iterdir()])
                return folder, folder.name
        return None

    def _check_room(self, needed: int) -> None:
        place = next(folder for folder in (self._cache_dir, *self._cache_dir.parents) if folder.exists())
        free = shutil.disk_usage(place).free
        if needed > free:
            raise UserError(
                f"the download has {needed / 1e6:,.0f} MB and the disk of {place} only {free / 1e6:,.0f} MB free. "
                "Free some space, or point HF_HOME to another disk."
            )

    def _load_wanted(self, folder: Path, revision: str | None) -> None:
        self._set(phase="loading")
        with self._changed:  # two that load at once are slower than one after the other, and the page needs one
            self._changed.wait_for(lambda: self._starter_done)
        from space.engine import Engine

        self._take(Engine.load(folder, name=self._status.wanted, revision=revision))

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


def _needed(name: str, files: Iterable[str]) -> list[str]:
    """The files of a repository that its model is loaded from.

    Raises:
        UserError: it has no config.json, or no weights of a kind that is loaded here.
    """
    files = set(files)
    if "config.json" not in files:
        raise UserError(f"{name} holds no config.json, so it is no model of transformers.")
    for first, *shards in _WEIGHTS:
        if first in files:
            wanted = (first, *shards, *_SMALL_FILES)
            return sorted(file for file in files if any(fnmatch(file, pattern) for pattern in wanted))
    raise UserError(f"{name} holds neither model.safetensors nor pytorch_model.bin, so there are no weights to load.")


def _verify(folder: Path, digests: dict[str, str]) -> None:
    """Compares the weights with the digests that the Hub has of them; the client compares sizes only.

    Raises:
        UserError: a file is not what the Hub holds. It is deleted, so that the next start fetches it again.
    """
    for name, expected in digests.items():
        path = folder / name
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise UserError(
                f"{name} arrived damaged (its SHA-256 is not the Hub's) and was deleted. Start again to fetch it anew."
            )


def _progress(tell: Callable[[int], None]) -> type[tqdm]:
    """A progress bar that draws nothing and tells the bytes downloaded so far.

    `snapshot_download` makes several of its class, and counts the same bytes as received and as written: the
    furthest of those that count bytes is told.
    """
    furthest = 0

    class Bytes(tqdm):
        def __init__(self, *args, unit: str = "it", **options):
            self._counts_bytes = unit == "B"
            self._bytes = options.get("initial", 0) or 0
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            nonlocal furthest
            self._bytes += n or 0
            if self._counts_bytes and self._bytes > furthest:
                furthest = int(self._bytes)
                tell(furthest)

    return Bytes


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
