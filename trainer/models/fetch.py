"""Fetches the files of a model repository: one commit, tensors only, the cached copy without a network."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id

from trainer.errors import UserError
from trainer.hub.explain import explain
from trainer.hub.patience import Patience, retry

# A name or a network that is not there should be told soon; a download that has begun is worth more patience.
FIRST_QUESTION = Patience(total=10.0)

TOKENIZER_FILES = ("tokenizer.json", "spiece.model")

OTHER_TOKENIZER_FILES = ("vocab.json", "vocab.txt", "sentencepiece.bpe.model")

_WANTED = ("config.json", "generation_config.json", *TOKENIZER_FILES, "tokenizer_config.json")

_WANTED += ("special_tokens_map.json", "added_tokens.json")

# What other families than T5 keep their words in, and what says how a LoRA adapter is to be used.
_WANTED += (*OTHER_TOKENIZER_FILES, "merges.txt", "adapter_config.json")

_SAFE = ("model*.safetensors", "model*.safetensors.index.json", "adapter_model.safetensors")

_PICKLED = ("pytorch_model*.bin", "pytorch_model.bin.index.json", "adapter_model.bin")


def fetch(
    name_or_folder: str | Path,
    revision: str | None = None,
    *,
    weights: bool = True,
    say: Callable[[str], None] = print,
) -> tuple[Path, str | None]:
    """The folder that holds a model, and its commit if that is a snapshot in the Hub client's cache.

    Of several kinds of weights only safetensors are fetched, and `.bin` where there is nothing else. Without a
    network, what the cache holds is used.

    Raises:
        UserError: there is no such folder, repository or revision, or it can't be reached.
    """
    name = str(name_or_folder)
    if Path(name).is_dir():
        if revision is not None:
            raise UserError(f"{name} is a folder, and a folder has no revision {revision!r}: leave that out.")
        return Path(name), None
    try:
        validate_repo_id(name)
        local = name.startswith((".", "/", "~"))
    except HFValidationError:
        local = True
    if local:
        raise UserError(f"{name} is no folder here, nor a name that a model on the Hub could have (user/name).")
    doing = f"fetching {name}"
    try:
        try:
            info = retry(lambda: HfApi().model_info(name, revision=revision), doing, patience=FIRST_QUESTION, say=say)
            files = [sibling.rfilename for sibling in info.siblings or []]
            safe = any(file.endswith(".safetensors") and "/" not in file for file in files)
            wanted = [*_WANTED, *(_SAFE if safe else _PICKLED) * weights]
            snapshot = retry(lambda: snapshot_download(name, revision=revision, allow_patterns=wanted), doing, say=say)
        except Exception as error:
            snapshot = None if _refused(error) else _cached(name, revision, weights)
            if snapshot is None:
                raise
            say(f"The Hub can't be asked for {name}; going on with the copy in the cache.")
    except Exception as error:
        raise explain(error, name, doing) from error
    return Path(snapshot), Path(snapshot).name


def _cached(name: str, revision: str | None, weights: bool) -> str | None:
    """The snapshot that an earlier run fetched, if it is whole."""
    for kind in (_SAFE, _PICKLED):
        with suppress(LocalEntryNotFoundError):
            wanted = [*_WANTED, *kind * weights]
            return snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=True)
    return None


def _refused(error: BaseException) -> bool:
    """Whether the Hub itself answered, with a no: then an older copy in the cache would hide what it says."""
    response = getattr(error, "response", None)
    return response is not None and response.status_code in (401, 403, 404)
