"""What a training starts from: a model of the Hub or a folder, or random weights of a config's shape.

A T5 is loaded by `trainer.models.load`, any other encoder–decoder by `trainer.models.pretrained`. Random weights are
those of a T5, or of an encoder–decoder made of two models of BERT's kind (Rothe et al. 2020).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from trainer.errors import UserError, nearest
from trainer.hub.fetch import fetch_model
from trainer.models.initialisation import make_copy_ready
from trainer.models.load import T5_FAMILY, is_adapter, load_tokenizer, read_pretrained_config, read_t5
from trainer.models.low_rank import add_low_rank
from trainer.models.parts import shape_parts
from trainer.models.pretrained import read_summarizer
from trainer.models.vocabulary import train_vocabulary
from trainer.settings.training import Settings

PAIR = "encoder-decoder"  # transformers' name for two models joined by cross-attention


def load_trainable(
    name_or_folder: str | Path, revision: str | None = None, *, tokenizer: str | Path | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str | None]:
    """Loads a model that can be trained, in fp32 and evaluation mode, its tokenizer, and the commit it has on the Hub.

    Raises:
        UserError: as `load_model` for a T5 or an adapter, as `load_summarizer` for others.
    """
    folder, commit = fetch_model(name_or_folder, revision)
    if is_adapter(folder) or read_pretrained_config(folder, name_or_folder).model_type in T5_FAMILY:
        return *read_t5(folder, name_or_folder, tokenizer=tokenizer), commit
    if tokenizer is not None:
        raise UserError(f"--tokenizer is for the T5 family, and {name_or_folder} is none: it brings its own.")
    found = read_summarizer(folder, name_or_folder, commit)
    for token in ("pad_token_id", "decoder_start_token_id"):  # training reads them from here
        if getattr(found.model.config, token, None) is None:
            setattr(found.model.config, token, getattr(found.model.generation_config, token))
    return found.model, found.tokenizer, commit


def start_model(
    settings: Settings, vocabulary: Path, texts: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str | None]:
    """What a run starts from, as `load_trainable` gives it: a checkpoint, or with `from_scratch` random weights.

    Layers that are not wanted are taken out, and parts that shall not learn are frozen (`trainer.models.parts`,
    `trainer.models.low_rank`).

    Random weights without a tokenizer get a vocabulary of the size that their config states, trained on `texts` and
    kept in the folder `vocabulary`, from where the next start of the same run takes it.

    Raises:
        UserError: as `load_trainable`, `build_model`, `shape_parts` and `add_low_rank`.
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
        return load_trainable(chosen.model, chosen.model_revision, tokenizer=chosen.tokenizer)
    config = read_config(chosen.from_scratch)
    if chosen.tokenizer is not None:
        tokenizer = load_tokenizer(chosen.tokenizer)
    else:
        if not vocabulary.is_dir():
            _train_vocabulary(config, vocabulary, texts)
        tokenizer = load_tokenizer(vocabulary)
    model = build_model(config, tokenizer, settings.optimisation.seed)
    if chosen.copy_ready:
        if not isinstance(model, T5ForConditionalGeneration):
            raise UserError(f"--copy_ready is for a T5, and --from_scratch is {chosen.from_scratch}.")
        try:
            make_copy_ready(model)
        except ValueError as error:
            raise UserError(f"--copy_ready: {error}.") from error
    model.name_or_path = model.config._name_or_path = chosen.name
    return model, tokenizer, None


def _train_vocabulary(config: PretrainedConfig, folder: Path, texts: Sequence[str]) -> None:
    try:
        tokenizer = train_vocabulary(texts, getattr(config, "encoder", config).vocab_size)
    except ValueError as error:
        raise UserError(f"--from_scratch: {error}.") from error
    part = folder.with_name(folder.name + ".part")
    tokenizer.save_pretrained(part)
    part.rename(folder)  # a vocabulary half written must not look like one


def read_config(path: Path) -> T5Config | EncoderDecoderConfig:
    """Reads a config for random weights from a JSON file or from the folder that holds `config.json`.

    One with `model_type: encoder-decoder` names the configs of its `encoder` and its `decoder`, as transformers saves
    them; every other one is a T5's.

    Raises:
        UserError: it is not there, not JSON, or has a name that the model does not know.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"--from_scratch is {path}: no T5 config can be read there ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"--from_scratch is {path}: that is not JSON ({error}).") from error
    kind = values.get("model_type", "t5") if isinstance(values, dict) else type(values).__name__
    if kind == PAIR:
        return _read_pair(values, path)
    if kind != "t5":
        raise UserError(
            f"--from_scratch is {path}: it describes {kind!r}, and only a T5 can be built, or two models of BERT's "
            f"kind ({PAIR})."
        )
    _check_names(values, {*T5Config().to_dict(), "decoder_start_token_id", "task_specific_params"}, path, "T5")
    return T5Config(**{"decoder_start_token_id": 0, **values})


def _read_pair(values: dict[str, Any], path: Path) -> EncoderDecoderConfig:
    halves = []
    for side in ("encoder", "decoder"):
        half = dict(values.get(side) or {})
        try:
            config = AutoConfig.for_model(half.pop("model_type", ""))
        except ValueError as error:
            raise UserError(f"--from_scratch is {path}: {side} must name its model_type, such as bert.") from error
        _check_names(
            half, {*config.to_dict(), "is_decoder", "add_cross_attention"}, path, f"{side} ({config.model_type})"
        )
        halves.append(type(config)(**half))
    pair = EncoderDecoderConfig.from_encoder_decoder_configs(*halves)
    _check_names(values, {*pair.to_dict(), "decoder_start_token_id", "pad_token_id", "eos_token_id"}, path, PAIR)
    return pair


def _check_names(values: dict[str, Any], known: set[str], path: Path, kind: str) -> None:
    for name in values:
        if name not in known:
            near = nearest(name, sorted(known))
            hint = f"did you mean {near}?" if near else "leave it out."
            raise UserError(f"--from_scratch is {path}: {kind} has no {name!r}; {hint}")


def build_model(
    config: T5Config | EncoderDecoderConfig | Path, tokenizer: PreTrainedTokenizerBase, seed: int = 42
) -> PreTrainedModel:
    """A model with random weights, the same for the same `seed`; its vocabulary is the tokenizer's.

    Raises:
        UserError: the config is not one that a model can be built from.
    """
    if isinstance(config, Path):
        config = read_config(config)
    values, kind = config.to_dict(), type(config)
    if kind is EncoderDecoderConfig:
        cls = EncoderDecoderModel
        for side in ("encoder", "decoder"):
            values[side] |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
        values |= {**special, "decoder_start_token_id": tokenizer.pad_token_id}
    else:
        cls = T5ForConditionalGeneration
        values |= {"vocab_size": len(tokenizer)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return cls(kind(**values | {"architectures": [cls.__name__]})).eval()
        except (RuntimeError, ValueError, TypeError, KeyError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            name = "T5" if cls is T5ForConditionalGeneration else "model"
            raise UserError(f"No {name} can be built from that config: {reason}.") from error
