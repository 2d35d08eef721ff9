"""Gets a T5: from the Hub, a folder or a config.

A model of the Hub is fetched whole into the client's cache and then loaded from there, so that weights, config and
tokenizer are of one commit and transformers has nothing left to ask the Hub for: for a repository without
safetensors it would otherwise start a thread that asks a service for a conversion. No code of a repository is ever
run, and pickled weights are read as tensors only.
"""

import json
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
    T5Config,
    T5ForConditionalGeneration,
)

from trainer.errors import UserError, nearest
from trainer.hub.fetch import fetch_model
from trainer.hub.model_files import OTHER_TOKENIZER_FILES, TOKENIZER_FILES
from trainer.models.initialisation import make_copy_ready
from trainer.models.low_rank import add_low_rank
from trainer.models.parts import shape_parts
from trainer.models.vocabulary import train_vocabulary
from trainer.settings.training import Settings

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
    return model.eval(), words, commit


def start_model(
    settings: Settings, vocabulary: Path, texts: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str | None]:
    """What a run starts from, as `load_model` gives it: a checkpoint, or with `from_scratch` random weights.

    Layers that are not wanted are taken out, and parts that shall not learn are frozen (`trainer.models.parts`,
    `trainer.models.low_rank`).

    Random weights without a tokenizer get a vocabulary of the size that their config states, trained on `texts` and
    kept in the folder `vocabulary`, from where the next start of the same run takes it.

    Raises:
        UserError: as `load_model`, `build_model`, `shape_parts` and `add_low_rank`.
    """
    model, tokenizer, revision = _start(settings, vocabulary, texts)
    shape_parts(model, settings.model)
    if settings.model.lora_rank is not None:
        add_low_rank(model, settings.model.lora_rank, settings.optimisation.seed)
    return model, tokenizer, revision


def _start(
    settings: Settings, vocabulary: Path, texts: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str | None]:
    chosen = settings.model
    if chosen.from_scratch is None:
        return load_model(chosen.model, chosen.model_revision, tokenizer=chosen.tokenizer)
    config = read_config(chosen.from_scratch)
    if chosen.tokenizer is not None:
        tokenizer = load_tokenizer(chosen.tokenizer)
    else:
        if not vocabulary.is_dir():
            _train_vocabulary(config, vocabulary, texts)
        tokenizer = load_tokenizer(vocabulary)
    model = build_model(config, tokenizer, settings.optimisation.seed)
    if chosen.copy_ready:
        try:
            make_copy_ready(model)
        except ValueError as error:
            raise UserError(f"--copy_ready: {error}.") from error
    model.name_or_path = model.config._name_or_path = chosen.name
    return model, tokenizer, None


def _train_vocabulary(config: T5Config, folder: Path, texts: Sequence[str]) -> None:
    try:
        tokenizer = train_vocabulary(texts, config.vocab_size)
    except ValueError as error:
        raise UserError(f"--from_scratch: {error}.") from error
    part = folder.with_name(folder.name + ".part")
    tokenizer.save_pretrained(part)
    part.rename(folder)  # a vocabulary half written must not look like one


def load_tokenizer(name_or_folder: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A tokenizer of the Hub or a folder; raises `UserError` where there is none."""
    folder, _ = fetch_model(name_or_folder, revision, weights=False)
    return read_tokenizer(folder, name_or_folder)


def read_config(path: Path) -> T5Config:
    """Reads a T5 config for random weights from a JSON file or from the folder that holds `config.json`.

    Raises:
        UserError: it is not there, not JSON, or has a name that T5 does not know.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"--from_scratch is {path}: no T5 config can be read there ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"--from_scratch is {path}: that is not JSON ({error}).") from error
    if not isinstance(values, dict) or values.get("model_type", "t5") != "t5":
        kind = values.get("model_type") if isinstance(values, dict) else type(values).__name__
        raise UserError(f"--from_scratch is {path}: it describes {kind!r}, and only a T5 can be built.")
    known = {*T5Config().to_dict(), "decoder_start_token_id", "task_specific_params"}
    for name in values:
        if name not in known:
            near = nearest(name, sorted(known))
            hint = f"did you mean {near}?" if near else "leave it out."
            raise UserError(f"--from_scratch is {path}: T5 has no {name!r}; {hint}")
    return T5Config(**{"decoder_start_token_id": 0, **values})


def build_model(
    config: T5Config | Path, tokenizer: PreTrainedTokenizerBase, seed: int = 42
) -> T5ForConditionalGeneration:
    """A T5 with random weights, the same for the same `seed`; its vocabulary is the tokenizer's.

    Raises:
        UserError: the config is not one that a T5 can be built from.
    """
    if isinstance(config, Path):
        config = read_config(config)
    values = config.to_dict() | {
        "vocab_size": len(tokenizer),
        "architectures": ["T5ForConditionalGeneration"],
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return T5ForConditionalGeneration(T5Config(**values)).eval()
        except (RuntimeError, ValueError, TypeError, KeyError, ZeroDivisionError) as error:
            raise UserError(f"No T5 can be built from that config: {_brief(error)}") from error


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
