"""The one door through which models come from the Hub, and through which it is asked what it holds.

    folder, commit = fetch_model("google-t5/t5-small")

A model is fetched into the client's cache, all its files of one commit, tensors only. Training, evaluation and the demo
come through here, so all of them get the same care: a look at the disk before, patience on the way, the digests
compared after, and the copy in the cache where the Hub can't be asked. (`datasets` fetches data sets; what is asked of
the Hub about them is asked here.)
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.file_download import repo_folder_name
from tqdm.auto import tqdm

from trainer.errors import UserError
from trainer.hub.explain import explain
from trainer.hub.model_files import SMALL_FILES, missing_shards, needed_files
from trainer.hub.names import can_be_name
from trainer.hub.patience import Patience, Say, retry
from trainer.runtime.files import sha256_of
from trainer.runtime.sizes import spoken_size

# A name or a network that is not there should be told soon; a download that has begun is worth more patience.
FIRST_QUESTION = Patience(total=10.0)

# Called with (bytes fetched, bytes to be fetched in all).
TellBytes = Callable[[int, int], None]


def look_up(
    name: str,
    revision: str | None = None,
    *,
    repo_type: str = "model",
    files_metadata: bool = False,
    doing: str | None = None,
    api: HfApi | None = None,
    patience: Patience | None = None,
    say: Say = print,
) -> Any:
    """What the Hub says of a repository (`HfApi.repo_info`), asked with the patience of a first question.

    The client's error is raised as it is: `explain` makes a sentence of it.
    """
    api = api or HfApi()

    def ask() -> Any:
        return api.repo_info(name, revision=revision, repo_type=repo_type, files_metadata=files_metadata)

    return retry(ask, doing or f"looking up {name}", patience=patience or FIRST_QUESTION, say=say)


def fetch_model(
    name_or_folder: str | Path,
    revision: str | None = None,
    *,
    weights: bool = True,
    api: HfApi | None = None,
    cache_dir: Path | None = None,
    patience: Patience | None = None,
    progress: TellBytes | None = None,
    say: Say = print,
) -> tuple[Path, str | None]:
    """The folder that holds a model, and its commit if that is a snapshot in the Hub client's cache.

    Of several kinds of weights only the best is fetched: safetensors, and `.bin` where there is nothing else. Where
    the Hub can't be asked, a whole copy in the cache is used, and `say` is told so.

    Args:
        revision: branch, tag or commit; None is the newest.
        weights: False for the tokenizer alone.
        api: the client, with its endpoint and token; by default as its environment variables say.
        cache_dir: the client's cache, by default as its environment variables say.
        patience: of the download; the question before it gets `FIRST_QUESTION` at most.
        progress: called with (0, total) before the first byte and with (total, total) at the end. Where left out, the
            size is told to `say`, and a bar is drawn where a terminal shows it.

    Raises:
        UserError: there is no such folder, repository or revision, it can't be reached, holds no model, has no room
            on the disk, or what arrived is not what the Hub holds. A `HubError` is one that time may heal.
    """
    name = str(name_or_folder)
    if Path(name).is_dir():
        if revision is not None:
            raise UserError(f"{name} is a folder, and a folder has no revision {revision!r}: leave that out.")
        return Path(name), None
    if not can_be_name(name):
        raise UserError(f"{name} is no folder here, nor a name that a model on the Hub could have (user/name).")
    cache = Path(cache_dir or constants.HF_HUB_CACHE)
    model = _Model(name, revision, weights, api or HfApi(), cache, patience or Patience(), say)
    try:
        folder = model.download(progress)
    except UserError:
        raise
    except Exception as error:
        explained = explain(error, name, model.doing)
        folder = None if _refused(error) else model.cached()
        if folder is None:
            raise explained from error
        say(f"{explained} Until then: going on with the copy in the cache, commit {folder.name[:12]}.")
    return folder, folder.name


@dataclass(frozen=True)
class _Model:
    """A model that is being fetched; the fields are those of `fetch_model`."""

    name: str
    revision: str | None
    weights: bool
    api: HfApi
    cache: Path
    patience: Patience
    say: Say

    @property
    def doing(self) -> str:
        return f"fetching {self.name}"

    def download(self, progress: TellBytes | None) -> Path:
        """Fetches what the cache lacks, and compares the weights with the Hub's digests; the snapshot's folder."""
        info = self._look_up(self.revision)
        there = {file.rfilename: file for file in info.siblings or ()}
        files = needed_files(self.name, there, weights=self.weights)
        blobs = self.cache / repo_folder_name(repo_id=self.name, repo_type="model") / "blobs"
        new = [file for file in files if not (blobs / (_digest(there[file]) or there[file].blob_id or "-")).is_file()]
        total = sum(there[file].size or 0 for file in new)
        self._check_room(total)
        if progress is None:
            progress = _bar(self.name)
            if total:
                self.say(f"Fetching {self.name}: {spoken_size(total)} ...")
        progress(0, total)
        folder = Path(retry(lambda: self._snapshot(files, progress, total), self.doing, **self._waits))
        progress(total, total)
        if folder.name != info.sha:  # the branch has moved meanwhile, and so have the digests
            there = {file.rfilename: file for file in self._look_up(folder.name).siblings or ()}
        verify(folder, {file: digest for file in files if file in there and (digest := _digest(there[file]))})
        self._check_shards(folder, files)
        return folder

    def cached(self) -> Path | None:
        """The snapshot that an earlier run fetched, if it is whole: with every shard that an index of it names."""
        with suppress(Exception):  # whatever it is: then there is no copy to be used
            # The client knows which of the small files there should be; of weights one kind is enough.
            folder = Path(self._snapshot(list(SMALL_FILES), local_files_only=True))
            files = needed_files(self.name, [file.name for file in folder.iterdir()], weights=self.weights)
            if files and not missing_shards(folder, files):
                return folder
        return None

    @property
    def _waits(self) -> dict[str, Any]:
        return {"patience": self.patience, "say": self.say}

    def _look_up(self, revision: str | None) -> Any:
        asking = replace(self.patience, total=min(self.patience.total, FIRST_QUESTION.total))
        waits = {"patience": asking, "say": self.say}
        return look_up(self.name, revision, files_metadata=True, doing=self.doing, api=self.api, **waits)

    def _snapshot(
        self, files: list[str], progress: TellBytes | None = None, total: int = 0, local_files_only: bool = False
    ) -> str:
        return self.api.snapshot_download(
            self.name,
            # Not a commit: only under the name that was asked for will the cache be found without a network.
            revision=self.revision,
            cache_dir=self.cache,
            allow_patterns=files,
            etag_timeout=min(self.patience.silence, 10.0),
            local_files_only=local_files_only,
            tqdm_class=byte_counter(lambda done: progress(min(done, total), total)) if progress else None,
        )

    def _check_room(self, needed: int) -> None:
        place = next(folder for folder in (self.cache, *self.cache.absolute().parents) if folder.exists())
        free = shutil.disk_usage(place).free
        if needed > free:
            raise UserError(
                f"{self.name} is a download of {spoken_size(needed)}, and the disk of {place} has {spoken_size(free)} "
                f"free, which is {spoken_size(needed - free)} too little. Free some space, or point HF_HOME to another "
                "disk."
            )

    def _check_shards(self, folder: Path, files: list[str]) -> None:
        try:
            missing = missing_shards(folder, files)
        except ValueError as error:
            raise UserError(f"The weights of {self.name} can't be loaded: {error}.") from error
        if missing:
            raise UserError(
                f"The weights of {self.name} are incomplete on the Hub: its index names {', '.join(missing)}."
            )


def verify(folder: Path, digests: Mapping[str, str]) -> None:
    """Compares files with the SHA-256 that the Hub states of them; the client compares sizes only.

    Raises:
        UserError: a file is not what the Hub holds. It is deleted, so that the next start fetches it again.
    """
    for name, expected in digests.items():
        path = folder / name
        if sha256_of(path) != expected:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise UserError(
                f"{name} arrived damaged (its SHA-256 is not the Hub's) and was deleted. Start again to fetch it anew."
            )


def byte_counter(tell: Callable[[int], None]) -> type[tqdm]:
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


def _bar(name: str) -> TellBytes:
    """Draws a bar where a terminal shows it."""
    bar = tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=not sys.stderr.isatty())

    def draw(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return draw


def _digest(file: Any) -> str | None:
    """The SHA-256 that the Hub states of a file in LFS; None of a small one."""
    return file.lfs.sha256 if file.lfs else None


def _refused(error: BaseException) -> bool:
    """Whether the Hub itself answered, with a no: then an older copy in the cache would hide what it says."""
    response = getattr(error, "response", None)
    return response is not None and response.status_code in (401, 403, 404)
