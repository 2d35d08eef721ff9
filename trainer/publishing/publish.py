"""Publishing a finished model: the right to its name, the card, and one commit.

    repo_id = check_push(settings.hub, "google-t5/t5-small", "EdinburghNLP/xsum")  # before the hours of training
    write_card(folder, repo_id)                                                    # README.md from results.json
    url = push_model(folder, repo_id)

The folder is what training leaves in `<output_dir>/model`. A push that fails leaves it as it is, and the error names
the command that pushes it again without training.
"""

import json
import re
import shlex
import struct
import sys
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, ModelCard, ModelCardData, get_session
from huggingface_hub.errors import BadRequestError
from huggingface_hub.utils import hf_raise_for_status

from trainer.errors import Stopped, UserError
from trainer.hub.commit import publish_files
from trainer.hub.explain import explain
from trainer.hub.model_files import SAFETENSORS, TOKENIZER, TOKENIZER_FILES, missing_shards
from trainer.hub.patience import Patience, Say, aloud, retry
from trainer.hub.rights import check_right, full_name, sign_in
from trainer.publishing.card import is_as_drawn, render_card
from trainer.settings.groups import DEFAULT_LICENSE, HubSettings

TRAIN = Path(__file__).resolve().parents[1] / "train.py"

# What is published, and nothing else of the folder: training_args.bin can hold a token, and optimizer states are of
# no use to anybody else.
WEIGHTS = tuple(name for kind in SAFETENSORS for name in kind)

NEEDED = ("config.json", "generation_config.json", "tokenizer_config.json", "results.json", "README.md")

PUBLISHED = (*NEEDED, *WEIGHTS, *TOKENIZER)

# What an earlier model may have left in the repository that a loader would read, or that never belonged there.
OBSOLETE = (
    *WEIGHTS,
    *TOKENIZER,
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "tf_model*.h5",
    "flax_model*.msgpack",
    "rust_model.ot",
    "training_args.bin",
)


def default_model_id(token_name: str, base: str, dataset: str) -> str:
    """`<who the token says>/<base>-finetuned-<dataset>`, of the last parts of names and paths, in the Hub's letters."""
    name = f"{_plain(base)}-finetuned-{_plain(dataset)}"
    return f"{token_name}/{_plain(name[: 96 - len(token_name) - 1])}"


def _plain(name: str) -> str:
    last = re.split(r"[/\\]", name.strip().rstrip("/\\"))[-1]
    last = re.sub(r"\.(jsonl?|csv|parquet|git)$", "", last)
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._]+", "-", last)).strip("-.") or "model"


def check_push(
    hub: HubSettings,
    base_model: str,
    dataset: str,
    *,
    api: HfApi | None = None,
    patience: Patience | None = None,
    say: Say = aloud,
) -> str:
    """The full name that the model will be published under, once it is sure that the token may.

    Leaves no trace on the Hub (see `trainer.hub.rights.check_right` for what cannot be known beforehand).

    Raises:
        UserError: no token, a wrong one, one without the right to the name, a name that cannot be one, a repository
            that is public where `hub.private` asks otherwise, or a Hub out of reach.
    """
    api = api or HfApi()
    patience = patience or Patience(total=60.0)
    who = sign_in(api, "publishing (--push)", patience=patience, say=say)
    name = hub.hub_model_id or default_model_id(who["name"], base_model, dataset)
    repo_id = full_name(name, who, "--hub_model_id")
    exists = check_right(api, who, repo_id, "--hub_model_id", private=hub.private, patience=patience, say=say)
    _check_license(api, hub.license or DEFAULT_LICENSE, patience, say)
    state = "there is one already, which gets a new commit" if exists else "will be made"
    say(f"To be published as {repo_id} by {who['name']} ({state}).")
    return repo_id


def _check_license(api: HfApi, license: str, patience: Patience, say: Say) -> None:
    """Asks the Hub, which refuses a card with a licence that it does not know, before there is a model to lose."""
    card = ModelCard(f"---\n{ModelCardData(license=license).to_yaml()}\n---\n")

    def ask() -> None:
        # As `ModelCard.validate` does, which asks at no other endpoint than the environment's.
        body = {"repoType": "model", "content": str(card)}
        hf_raise_for_status(get_session().post(f"{api.endpoint}/api/validate-yaml", json=body))

    doing = "asking the Hub about the licence"
    try:
        retry(ask, doing, patience=patience, say=say)
    except BadRequestError as error:
        raise UserError(f"--license is {license!r}: the Hub does not take it ({error.server_message}).") from error
    except Exception as error:
        raise explain(error, "", doing) from error


def push_model(
    folder: Path,
    repo_id: str,
    private: bool = False,
    *,
    api: HfApi | None = None,
    patience: Patience | None = None,
    say: Say = aloud,
) -> str:
    """Publishes the finished model of `folder` in one commit and returns its address.

    Raises:
        UserError: the folder holds no whole model.
        Stopped: it could not be published; says how to do so without training.
    """
    files: dict[str, Path | bytes] = dict(finished_files(folder))
    card = files["README.md"].read_text("utf-8")
    if card != (fitting := _card_for(folder, card, repo_id)):
        files["README.md"] = fitting.encode("utf-8")
    try:
        published = publish_files(
            api or HfApi(),
            repo_id,
            files,
            message=f"Publish {repo_id.split('/')[-1]}",
            private=private,
            obsolete=lambda path: any(fnmatch(path, pattern) for pattern in OBSOLETE),
            patience=patience,
            say=say,
        )
    except UserError as error:
        raise Stopped(
            f"{error}\nThe finished model is kept in {folder}. To publish it without training again:\n"
            f"  {push_command(folder, repo_id, private)}"
        ) from error
    say(f"Published {published.url} (commit {published.commit[:12]}).")
    return published.url


def push_command(folder: Path, repo_id: str, private: bool = False) -> str:
    """The command line that publishes a finished folder, to be typed where this process runs."""
    words = [sys.executable, _short(TRAIN), "--push_only", _short(folder), "--hub_model_id", repo_id]
    return shlex.join(words + ["--private"] * private)


def _short(path: Path) -> str:
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def finished_files(folder: Path) -> dict[str, Path]:
    """Name → path of the files of `folder` that are published.

    Raises:
        UserError: one that is needed is missing, or the weights are cut short.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: it should be the folder of a finished model.")
    files = {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in PUBLISHED)
    }
    missing = [name for name in NEEDED if name not in files]
    if not set(TOKENIZER_FILES) & files.keys():
        missing.append("tokenizer.json")
    weights = {name for name in files if name.endswith(".safetensors")}
    if "model.safetensors.index.json" not in files and "model.safetensors" not in weights:
        missing.append("model.safetensors")
    try:
        missing += missing_shards(folder, files)
    except ValueError as error:
        raise UserError(f"{folder}: {error}. Save the model again.") from error
    if missing:
        raise UserError(f"{folder} is not a finished model: {', '.join(missing)} is missing. Nothing was published.")
    for name in weights:
        if not _is_whole(files[name]):
            raise UserError(f"{files[name]} is broken or cut short. Nothing was published; save the model again.")
    return files


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says: 8 bytes, the header, the tensors."""
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                return False
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError):
            return False
    return path.stat().st_size == 8 + length + max(ends, default=0)


def _card_for(folder: Path, card: str, repo_id: str) -> str:
    """`card` with `repo_id` in its example; a card that somebody has edited stays as it is."""
    return render_card(folder, repo_id) if is_as_drawn(folder, card) else card
