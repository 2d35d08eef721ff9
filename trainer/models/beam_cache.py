"""Beam search that does not copy what it has read at every step."""

import torch
from transformers import DynamicCache, EncoderDecoderCache, GenerationConfig, PreTrainedModel


class BeamCache(EncoderDecoderCache):
    """Keys and values of a beam search; those of the source stay where they are.

    When beams change places, transformers takes every cached tensor along. But a beam is only ever continued by one of
    the same source, and all beams of a source hold the same cross-attention keys and values: of those nothing changes,
    and they are most of the memory (source tokens against the few written so far). So the tokens are those of the plain
    cache, sooner (`python -m tests.models.bench_beams`).
    """

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Takes the self-attention along; `beam_idx` (batch × beams,) is the row that each beam continues."""
        self.self_attention_cache.reorder_cache(beam_idx)


def beam_cache(model: PreTrainedModel, generation: GenerationConfig) -> dict[str, BeamCache]:
    """The argument of `generate` that gives a beam search its cache; none where there is no such choice.

    That is without beams, where the settings name another cache or none, and for a model that keeps its own.
    """
    single = (generation.num_beams or 1) == 1
    other = generation.use_cache is False or generation.cache_implementation is not None
    if single or other or hasattr(model, "_reorder_cache"):
        return {}
    decoder = model.config.get_text_config(decoder=True)
    return {"cache": BeamCache(DynamicCache(config=decoder), DynamicCache(config=decoder))}
