"""Gets a T5: from the Hub, a folder or a config; and lets it remember the task it was trained for.

A model of the Hub is fetched whole into the client's cache and then loaded from there, so that weights, config and
tokenizer are of one commit and transformers has nothing left to ask the Hub for: for a repository without
safetensors it would otherwise start a thread that asks a service for a conversion. No code of a repository is ever
run, and pickled weights are read as tensors only.
"""

import difflib
import json
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from trainer.errors import UserError
from trainer.hub import Patience, explain, retry
from trainer.settings import GenerationSettings, Settings
from trainer.vocabulary import train_vocabulary

T5_FAMILY = ("t5", "mt5", "umt5", "longt5")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

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


@dataclass(frozen=True)
class Task:
    """What a fine-tuned model expects: the words before an article, and how many tokens it was trained to read.

    `candidates` is of how many summaries the best supported one is to be chosen (`trainer.summarizers.support`).
    """

    prefix: str = "summarize: "
    max_source_length: int = 1024
    candidates: int = 1


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
        UserError: it can't be had, is not a T5, lacks its tokenizer, or its weights are broken or incomplete.
    """
    folder, commit = fetch(name_or_folder, revision)
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

    Random weights without a tokenizer get a vocabulary of the size that their config states, trained on `texts` and
    kept in the folder `vocabulary`, from where the next start of the same run takes it.

    Raises:
        UserError: as `load_model` and `build_model`.
    """
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
    folder, _ = fetch(name_or_folder, revision, weights=False)
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
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]}?" if near else "leave it out."
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


def remember_task(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix: str,
    max_source_length: int,
    generation: GenerationSettings,
) -> None:
    """Writes into the model how it is to be used: `save_pretrained` then saves that, and loading brings it back.

    Prefix, length and number of candidates go into `config.task_specific_params["summarization"]` (T5's own place for
    the first), decoding into `generation_config`. What the start model knew of other tasks is dropped: it has been
    trained away.
    """
    task: dict[str, Any] = {"prefix": prefix, "max_source_length": max_source_length}
    if generation.candidates > 1:
        task["candidates"] = generation.candidates
    model.config.task_specific_params = {"summarization": task}
    tokenizer.model_max_length = max_source_length
    model.generation_config = generation_config(model.config, tokenizer, generation)


def generation_config(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, generation: GenerationSettings
) -> GenerationConfig:
    """The settings as transformers wants them; what a greedy search would not use is left out, for it refuses that."""
    values: dict[str, Any] = {
        "max_new_tokens": generation.max_new_tokens,
        "num_beams": generation.num_beams,
        "do_sample": False,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": getattr(config, "decoder_start_token_id", None) or tokenizer.pad_token_id,
    }
    if generation.min_new_tokens:
        values["min_new_tokens"] = generation.min_new_tokens
    if generation.no_repeat_ngram_size:
        values["no_repeat_ngram_size"] = generation.no_repeat_ngram_size
    if generation.num_beams > 1:
        values |= {"length_penalty": generation.length_penalty, "early_stopping": generation.early_stopping}
    return GenerationConfig(**values)


def task_of(config: PretrainedConfig) -> Task:
    """What `remember_task` wrote, or T5's usual prefix and 1024 tokens where nothing is known."""
    known = (getattr(config, "task_specific_params", None) or {}).get("summarization") or {}
    prefix, length = known.get("prefix", Task.prefix), known.get("max_source_length", Task.max_source_length)
    return Task(str(prefix), int(length), int(known.get("candidates", Task.candidates)))


def has_bf16(device: torch.device | str | None = None) -> bool:
    """Whether the GPU, or without one the processor, computes in bfloat16 itself rather than by emulation."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))


def count_weights(model: torch.nn.Module) -> int:
    """How many numbers the model has to learn; tied ones count once."""
    return sum(weight.numel() for weight in model.parameters())


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
        raise UserError(
            f"The weights of {name} are broken or unsafe and were not loaded: {_brief(error)} Fetch or save them anew."
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
            f"{name} holds no tokenizer ({' or '.join(TOKENIZER_FILES)}): save it there, or give --tokenizer."
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
