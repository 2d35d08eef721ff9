"""The files that a model consists of, in a repository of the Hub and in a folder: the one list of them."""

import json
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from trainer.errors import UserError

# A T5 keeps its vocabulary in one of the first, other families in one of the second.
TOKENIZER_FILES = ("tokenizer.json", "spiece.model")
OTHER_TOKENIZER_FILES = ("vocab.json", "vocab.txt", "sentencepiece.bpe.model")

# All that a T5's tokenizer is saved in.
TOKENIZER = (*TOKENIZER_FILES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

# What a model needs besides its weights. Everything else in a repository (other frameworks' weights, optimizer
# states, pictures) is left where it is.
SMALL_FILES = ("config.json", "generation_config.json", *TOKENIZER)
SMALL_FILES += (*OTHER_TOKENIZER_FILES, "merges.txt", "adapter_config.json")

# Kinds of weights, the best one first: the file whose presence shows the kind, and the pattern of its shards.
SAFETENSORS = (("model.safetensors",), ("model.safetensors.index.json", "model-*-of-*.safetensors"))
PICKLED = (("pytorch_model.bin",), ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"))
ADAPTERS = (("adapter_model.safetensors",), ("adapter_model.bin",))


def needed_files(name: str, files: Iterable[str], *, weights: bool = True) -> list[str]:
    """Those of the files of a repository, or of a folder, that its model is loaded from: of one kind of weights.

    Args:
        name: what sentences call the model.
        files: paths, "/" between folders; a model's own files are on the top level.
        weights: False for the tokenizer alone.

    Raises:
        UserError: it has no config.json, or no weights of a kind that is loaded here.
    """
    files = {file for file in files if "/" not in file}
    wanted = set(SMALL_FILES)
    if weights:
        kinds = [_first_kind(files, (*SAFETENSORS, *PICKLED)), _first_kind(files, ADAPTERS)]
        wanted.update(*(kind for kind in kinds if kind))
        if not files & {"config.json", "adapter_config.json"}:
            raise UserError(f"{name} holds no config.json, so it is no model of transformers.")
        if not any(kinds):
            raise UserError(
                f"{name} holds neither model.safetensors nor pytorch_model.bin, so there are no weights to load."
            )
    return sorted(file for file in files if any(fnmatch(file, pattern) for pattern in wanted))


def _first_kind(files: set[str], kinds: Iterable[tuple[str, ...]]) -> tuple[str, ...] | None:
    return next((kind for kind in kinds if kind[0] in files), None)


def missing_shards(folder: Path, files: Iterable[str]) -> list[str]:
    """Shards of weights that an index among `files` names and that are not in the folder.

    Raises:
        ValueError: the index is not one; says which file.
    """
    shards: set[str] = set()
    for file in files:
        if file.endswith(".index.json"):
            try:
                shards |= set(json.loads((folder / file).read_text("utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{file} is not an index of weights") from error
    return sorted(shard for shard in shards if not (folder / shard).is_file())
