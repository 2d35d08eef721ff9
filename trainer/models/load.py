"""Gets a T5 from the Hub or a folder.

A model of the Hub is fetched whole into the client's cache and then loaded from there, so that weights, config and
tokenizer are of one commit and transformers has nothing left to ask the Hub for: for a repository without
safetensors it would otherwise start a thread that asks a service for a conversion. No code of a repository is ever
run, and pickled weights are read as tensors only.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from trainer.errors import UserError
from trainer.hub.fetch import fetch_model
from trainer.hub.model_files import OTHER_TOKENIZER_FILES, TOKENIZER_FILES

T5_FAMILY = ("t5", "mt5", "umt5", "longt5")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def load_model(
    name_or_folder: str | Path,
    revision: str | None = None,
    *,
    tokenizer: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str | None]:
    """Loads a model of the T5 family in evaluation mode, its tokenizer, and the commit it has on the Hub.

    The commit is None for a folder. Weights saved in fewer bits are widened to `dtype`. `tokenizer` names another
    tokenizer to use in place of the model's own.

    Raises:
        UserError: it can't be had, is an adapter or not a T5, lacks its tokenizer, or its weights are broken or
            incomplete.
    """
    folder, commit = fetch_model(name_or_folder, revision)
    model, words = read_t5(folder, name_or_folder, tokenizer=tokenizer, dtype=dtype)
    return model, words, commit


def read_t5(
    folder: Path,
    name_or_folder: str | Path,
    *,
    tokenizer: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The same from a fetched model; `name_or_folder` is what sentences and records call it."""
    if is_adapter(folder):
        merged = f"{Path(name_or_folder).name}-merged"
        raise UserError(
            f"{name_or_folder} is an adapter, which changes another model, and a whole model is needed here. Merge the "
            f"two (in the folder of this project, with peft installed), then name {merged}:\n"
            f'  python -c "from trainer.models.pretrained import merge; merge({str(name_or_folder)!r}, {merged!r})"'
        )
    config = read_pretrained_config(folder, name_or_folder)
    if config.model_type not in T5_FAMILY:
        raise UserError(
            f"{name_or_folder} is a {config.model_type!r} model. This trainer is for the T5 family "
            f"({', '.join(T5_FAMILY)}), google-t5/t5-small for one."
        )
    model, missing = read_weights(folder, name_or_folder, config, dtype=dtype)
    refuse_incomplete(name_or_folder, missing)
    words = read_tokenizer(folder, name_or_folder) if tokenizer is None else load_tokenizer(tokenizer)
    _fits(words, model.config, name_or_folder)
    # The name people know it by, not the cache's path, goes into records.
    model.name_or_path = model.config._name_or_path = str(name_or_folder)
    return model.eval(), words


def load_tokenizer(name_or_folder: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A tokenizer of the Hub or a folder; raises `UserError` where there is none."""
    folder, _ = fetch_model(name_or_folder, revision, weights=False)
    return read_tokenizer(folder, name_or_folder)


def count_weights(model: torch.nn.Module) -> int:
    """How many numbers the model has to learn; tied ones count once."""
    return sum(weight.numel() for weight in model.parameters())


def is_adapter(folder: Path) -> bool:
    """Whether a fetched model is no model but an adapter of one."""
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def read_pretrained_config(folder: Path, name: str | Path) -> PretrainedConfig:
    """The config of a fetched model of any kind; `name` is what sentences call it."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{name} holds no config.json, so it is not a model that transformers saved.")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"The config.json of {name} can't be used: {_brief(error)}") from error
    return config


def read_weights(
    folder: Path,
    name: str | Path,
    config: PretrainedConfig,
    *,
    dtype: torch.dtype = torch.float32,
    auto: type = AutoModelForSeq2SeqLM,
) -> tuple[PreTrainedModel, list[str]]:
    """A fetched model of the auto class, and the names of the tensors that its files lack (random numbers now)."""
    try:
        model, report = auto.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        if not any(file.suffix in (".safetensors", ".bin") for file in folder.iterdir()):
            raise UserError(f"{name} holds no weights (model.safetensors or pytorch_model.bin).") from error
        reason = _brief(error)
        if "ignore_mismatched_sizes" in reason:
            reason = "its config.json describes other sizes than they have."
        raise UserError(
            f"The weights of {name} are broken or unsafe and were not loaded: {reason} Fetch or save them anew."
        ) from error
    # Not tied again: `tie_weights` would tie the head of T5 v1.1 and flan, whose files hold one of its own.
    return model, sorted(report["missing_keys"])


def refuse_incomplete(name: str | Path, missing: Sequence[str]) -> None:
    """Raises `UserError` where tensors are missing."""
    if missing:
        raise UserError(
            f"The weights of {name} are incomplete: {len(missing)} tensors are missing, {missing[0]} for one. "
            "(transformers would fill them with random numbers.)"
        )


def read_tokenizer(folder: Path, name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a fetched model of any kind."""
    if not any((folder / file).is_file() for file in TOKENIZER_FILES + OTHER_TOKENIZER_FILES):
        raise UserError(
            f"{name} holds no tokenizer ({' or '.join(TOKENIZER_FILES)}): save it there. (trainer/train.py takes "
            "another one with --tokenizer.)"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exception for a broken file
        raise UserError(f"The tokenizer of {name} can't be read: {_brief(error)}") from error
    tokenizer.name_or_path = str(name)
    return tokenizer


def _fits(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, name: str | Path) -> None:
    if len(tokenizer) > config.vocab_size:
        raise UserError(
            f"The tokenizer has {len(tokenizer):,} pieces, but {name} has only {config.vocab_size:,}: "
            "they don't belong together."
        )
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise UserError(f"The tokenizer for {name} lacks <pad> or </s>, which T5 needs.")


def _brief(error: BaseException) -> str:
    """The first 200 characters of an error on one line, with a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 200 else text[:199] + "…").rstrip(".") + "."
