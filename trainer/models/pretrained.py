"""Gets a model of any family, for measuring: summarisers that are no T5, encoders, classifiers, LoRA adapters.

The ways and the rules are those of `trainer/models/load.py`: one commit, no code of a repository, tensors only. What is
added is what other families need to be *right*: how many tokens they have positions for, which special tokens start
and end a summary, and the tied halves of BERT-like encoder–decoders, which transformers 5 no longer ties.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from trainer.errors import UserError
from trainer.hub.fetch import fetch_model
from trainer.models.load import (
    T5_FAMILY,
    is_adapter,
    read_pretrained_config,
    read_tokenizer,
    read_weights,
    refuse_incomplete,
)
from trainer.models.task import Task, task_of

# A tokenizer that knows no limit says 1e30.
_NO_LIMIT = 1 << 20


@dataclass(frozen=True)
class Pretrained:
    """A model in evaluation mode, its tokenizer, and the commit that it has on the Hub (None: a folder)."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    revision: str | None


def load_pretrained(
    name_or_folder: str | Path,
    revision: str | None = None,
    *,
    auto: type = AutoModelForSeq2SeqLM,
    unused: tuple[str, ...] = ("pooler.",),
) -> Pretrained:
    """Loads a model by one of transformers' auto classes, in fp32.

    Args:
        unused: parts of names of tensors that may be missing, as nothing asks for what they compute.

    Raises:
        UserError: it can't be had, is not of that class, or its weights are broken, unsafe or incomplete.
    """
    return _read(*fetch_model(name_or_folder, revision), name_or_folder, auto, unused)


def _read(
    folder: Path,
    commit: str | None,
    name_or_folder: str | Path,
    auto: type = AutoModelForSeq2SeqLM,
    unused: tuple[str, ...] = ("pooler.",),
) -> Pretrained:
    if is_adapter(folder):
        raise UserError(f"{name_or_folder} is an adapter, not a model: write lora:{name_or_folder}.")
    config = read_pretrained_config(folder, name_or_folder)
    if type(config) not in auto._model_mapping:
        raise UserError(
            f"{name_or_folder} is a {config.model_type!r} model, and that is none that "
            f"{auto.__name__.removeprefix('AutoModelFor').removeprefix('AutoModel') or 'an encoder'} can be made of."
        )
    model, missing = read_weights(folder, name_or_folder, config, auto=auto)
    if config.model_type == "encoder-decoder" and getattr(config, "tie_encoder_decoder", False):
        missing = _tie_halves(model, missing)
    refuse_incomplete(
        name_or_folder,
        [key for key in missing if not _computed(model, key) and not any(part in key for part in unused)],
    )
    tokenizer = read_tokenizer(folder, name_or_folder)
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise UserError(
            f"The tokenizer of {name_or_folder} has {len(tokenizer):,} pieces, but its model only {rows:,}: "
            "they don't belong together."
        )
    model.name_or_path = model.config._name_or_path = str(name_or_folder)
    return Pretrained(model.eval(), tokenizer, commit)


def load_summarizer(name_or_folder: str | Path, revision: str | None = None) -> Pretrained:
    """An encoder–decoder of any family, its special tokens written into its generation config.

    Raises:
        UserError: as `load_pretrained`, or no start, end or padding token can be found.
    """
    folder, commit = fetch_model(name_or_folder, revision)
    return read_summarizer(folder, name_or_folder, commit)


def read_summarizer(folder: Path, name_or_folder: str | Path, commit: str | None) -> Pretrained:
    """The same of a fetched model."""
    found = _read(folder, commit, name_or_folder)
    set_special_tokens(found.model, found.tokenizer)
    return found


def load_adapted(adapter: str | Path, revision: str | None = None) -> Pretrained:
    """A LoRA adapter (Hu et al. 2022) on the base model that its config names, merged into one model.

    The commit is the adapter's. Needs peft.

    Raises:
        UserError: peft is not installed; the adapter or its base can't be had, is no LoRA, or they do not fit.
    """
    try:
        import peft  # optional, and it imports much
    except ImportError as error:
        raise UserError(f"{adapter} is a LoRA adapter: that needs peft (`pip install peft`).") from error
    folder, commit = fetch_model(adapter, revision)
    file = folder / "adapter_config.json"
    try:
        about = json.loads(file.read_text("utf-8"))
        kind, base = about["peft_type"], about["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{adapter} holds no adapter_config.json that names its base model.") from error
    if kind != "LORA" or not isinstance(base, str):
        raise UserError(f"{adapter} is a {kind!r} adapter of {base!r}: only LORA on a named base is supported.")
    found = load_summarizer(base, about.get("revision"))
    try:
        adapted = peft.PeftModel.from_pretrained(found.model, folder, local_files_only=True)
        stored = peft.utils.load_peft_weights(str(folder), device="cpu")
    except Exception as error:  # peft lets through what torch, safetensors and json raise
        raise UserError(
            f"The adapter {adapter} does not fit its base model {base}: {' '.join(str(error).split())[:300]}"
        ) from error
    # peft only warns of these, and an adapter that lacks its weights changes nothing.
    refuse_incomplete(adapter, sorted(set(peft.get_peft_model_state_dict(adapted)) - set(stored)))
    model = adapted.merge_and_unload()
    model.name_or_path = model.config._name_or_path = str(adapter)
    return Pretrained(model.eval(), found.tokenizer, commit)


def merge(adapter: str | Path, folder: str | Path) -> None:
    """Saves what `load_adapted` gives, model and tokenizer, as a whole model in a folder."""
    found = load_adapted(adapter)
    found.model.save_pretrained(folder)
    found.tokenizer.save_pretrained(folder)


def _tie_halves(model: PreTrainedModel, missing: list[str]) -> list[str]:
    """Makes encoder and decoder share what both have; what then is still missing.

    `tie_encoder_decoder` (Rothe et al. 2020, "shared" models) was dropped from transformers, but checkpoints of that
    kind hold the shared tensors once only.
    """
    base = getattr(model.decoder, model.decoder.base_model_prefix)
    prefix = f"decoder.{model.decoder.base_model_prefix}."
    lacking = set(missing)
    other = dict(base.named_parameters())
    for name, weight in list(model.encoder.named_parameters()):
        if name not in other:
            continue
        in_encoder, in_decoder = f"encoder.{name}", prefix + name
        if in_encoder in lacking and in_decoder in lacking:
            continue
        shared = other[name] if in_encoder in lacking else weight
        for half in (model.encoder, base):
            path, _, leaf = name.rpartition(".")
            setattr(half.get_submodule(path), leaf, shared)
        lacking -= {in_encoder, in_decoder}
    model.tie_weights()
    tensors = dict(model.named_parameters(remove_duplicate=False))
    there = {id(tensor) for name, tensor in tensors.items() if name not in lacking}
    return sorted(name for name in lacking if name not in tensors or id(tensors[name]) not in there)


def _computed(model: PreTrainedModel, key: str) -> bool:
    """Whether the tensor is a table of sines, which needs no file."""
    return "Sinusoidal" in type(model.get_submodule(key.rpartition(".")[0])).__name__


def set_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Completes start, end and padding in `model.generation_config`, where neither it nor the config has them.

    BERT has no end token of its own: its summaries start with [CLS] and end with [SEP] (Rothe et al. 2020).

    Raises:
        UserError: one of them can't be found.
    """
    decoding = model.generation_config
    decoder = getattr(model.config, "decoder", None)
    first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    last = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    known = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": last, "decoder_start_token_id": first}
    for name, fallback in known.items():
        places = (decoding, model.config, decoder)
        stated = [value for place in places if (value := getattr(place, name, None)) is not None]
        value = stated[0] if stated else fallback
        if value is None:
            raise UserError(f"{model.name_or_path}: neither the model nor its tokenizer says what its {name} is.")
        setattr(decoding, name, value)
    if tokenizer.pad_token_id is None:
        raise UserError(f"The tokenizer of {model.name_or_path} has no padding token, and batches need one.")


def positions(model: PreTrainedModel) -> tuple[int | None, int | None]:
    """How many tokens encoder and decoder have positions for; None where positions are relative (T5)."""
    if members := getattr(model, "members", None):  # an ensemble goes as far as the shortest of its models
        limits = zip(*(positions(member) for member in members), strict=True)
        return tuple(min((one for one in side if one is not None), default=None) for side in limits)
    config = model.config
    if not config.is_encoder_decoder:
        return _positions(model, config), None
    halves = (
        (model.get_encoder(), getattr(config, "encoder", config)),
        (model.get_decoder(), getattr(config, "decoder", config)),
    )
    return tuple(
        _positions(part, own, f"max_{side}_position_embeddings")
        for side, (part, own) in zip(("encoder", "decoder"), halves, strict=True)
    )


def _positions(part: torch.nn.Module, config: PretrainedConfig, own_name: str = "") -> int | None:
    limit = getattr(config, own_name, None) or getattr(config, "max_position_embeddings", None)
    if config.model_type in T5_FAMILY or not limit or limit < 0:
        return None
    for module in part.modules():
        table = getattr(module, "position_embeddings", None)
        # RoBERTa counts from its padding token's number + 1: 514 rows are 512 positions.
        if isinstance(table, torch.nn.Embedding) and table.padding_idx is not None:
            return limit - table.padding_idx - 1
    return limit


def task_of_any(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Task:
    """What is put before an article and how many tokens are read, for a model of any family.

    What `task_specific_params["summarization"]` says goes first. Otherwise the T5 family gets "summarize: ", and others
    the `prefix` of their config or none. The length never exceeds the positions that the encoder has.
    """
    config = model.config
    known = (getattr(config, "task_specific_params", None) or {}).get("summarization") or {}
    of_t5 = config.model_type in T5_FAMILY
    prefix = known.get("prefix", Task.prefix if of_t5 else getattr(config, "prefix", None) or "")
    length = known.get("max_source_length")
    if length is None and not of_t5 and 0 < tokenizer.model_max_length < _NO_LIMIT:
        length = tokenizer.model_max_length
    limits = [limit for limit in (length or Task.max_source_length, positions(model)[0]) if limit is not None]
    return replace(task_of(config), prefix=str(prefix), max_source_length=int(min(limits)))
