"""What a saved model knows of its task: the prefix, the source limit and how it decodes."""

from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from trainer.models.load import T5_FAMILY
from trainer.settings.groups import GenerationSettings

SPECIAL_TOKENS = (
    "pad_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)


@dataclass(frozen=True)
class Task:
    """What a fine-tuned model expects: the words before an article, and how many tokens it was trained to read.

    `candidates` is of how many summaries the best one is to be chosen (`trainer.summarizers.choice`), and
    `choose_from` says whether those are what its search finds ("beams") or the article's own "sentences".
    """

    prefix: str = "summarize: "
    max_source_length: int = 1024
    candidates: int = 1
    choose_from: str = "beams"


def remember_task(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix: str,
    max_source_length: int,
    generation: GenerationSettings,
) -> None:
    """Writes into the model how it is to be used: `save_pretrained` then saves that, and loading brings it back.

    Prefix, length and what is chosen from go into `config.task_specific_params["summarization"]` (T5's own place for
    the first), decoding into `generation_config`. What the start model knew of other tasks is dropped: it has been
    trained away.
    """
    task: dict[str, Any] = {"prefix": prefix, "max_source_length": max_source_length}
    if generation.candidates > 1:
        task["candidates"] = generation.candidates
    if generation.choose_from != Task.choose_from:
        task["choose_from"] = generation.choose_from
    model.config.task_specific_params = {"summarization": task}
    tokenizer.model_max_length = max_source_length
    before, model.generation_config = model.generation_config, generation_config(model.config, tokenizer, generation)
    if model.config.model_type not in T5_FAMILY:  # its summaries begin and end with tokens that loading has found
        for name in SPECIAL_TOKENS:
            if (token := getattr(before, name, None)) is not None:
                setattr(model.generation_config, name, token)


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
    candidates, choose_from = known.get("candidates", Task.candidates), known.get("choose_from", Task.choose_from)
    return Task(str(prefix), int(length), int(candidates), str(choose_from))
