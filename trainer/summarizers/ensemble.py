"""Several encoder–decoders that write one summary together: the probabilities of each token are averaged.

It is a model for transformers' own `generate` (`GenerationMixin`), so greedy search, beams, sampling and every setting
of them work on it as on a single model. Each member keeps its own encoder states and its own cache.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from trainer.errors import UserError
from trainer.models.pretrained import Pretrained, task_of_any


class _Encoders(torch.nn.Module):
    """All encoders on the same tokens; their states (batch, tokens, width) side by side as one wide state.

    `generate` repeats that one tensor for every beam, and knows nothing of who is in it.
    """

    main_input_name = "input_ids"

    def __init__(self, encoders: Sequence[torch.nn.Module]):
        super().__init__()
        self.encoders = torch.nn.ModuleList(encoders)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> BaseModelOutput:
        states = [encoder(input_ids=input_ids, attention_mask=attention_mask)[0] for encoder in self.encoders]
        return BaseModelOutput(last_hidden_state=torch.cat(states, dim=-1))


class EnsembleModel(PreTrainedModel, GenerationMixin):
    """The mean of the members' next-token distributions; its "logits" are the logarithms of that mean."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, members: Sequence[PreTrainedModel]):
        super().__init__(copy.deepcopy(members[0].config))
        self.generation_config = copy.deepcopy(members[0].generation_config)
        self.members = torch.nn.ModuleList(members)
        # Not registered a second time: the encoders are the members'.
        self._encoders = [_Encoders([member.get_encoder() for member in members])]

    def get_encoder(self, *_: Any, **__: Any) -> torch.nn.Module:
        return self._encoders[0]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # one cache would not do: `forward` makes one for each member

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        cache: list[Any] | None = None,
        attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Once there is a cache, only the newest token is to be read."""
        return {
            "decoder_input_ids": input_ids if cache is None else input_ids[:, -1:],
            "encoder_outputs": encoder_outputs,
            "attention_mask": attention_mask,
            "cache": cache,
        }

    def forward(
        self,
        encoder_outputs: BaseModelOutput,
        attention_mask: torch.Tensor,
        decoder_input_ids: torch.Tensor,
        cache: list[Any] | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """`logits` (batch, tokens, vocabulary): log of the mean probability."""
        wide = encoder_outputs[0]
        states = wide.split([_width(member) for member in self.members], dim=-1)
        outputs = [
            member(
                encoder_outputs=BaseModelOutput(last_hidden_state=state),
                attention_mask=attention_mask,
                decoder_input_ids=decoder_input_ids,
                decoder_attention_mask=decoder_attention_mask,
                cache=own,
                use_cache=True,
            )
            for member, state, own in zip(self.members, states, cache or [None] * len(self.members), strict=True)
        ]
        # Tables of embeddings may be padded to different widths, beyond the tokenizer's last piece.
        pieces = min(output.logits.shape[-1] for output in outputs)
        logs = torch.stack([output.logits[..., :pieces].float().log_softmax(-1) for output in outputs])
        mean = logs.logsumexp(0) - torch.log(torch.tensor(float(len(outputs))))
        return Seq2SeqLMOutput(logits=mean, cache=[output.cache for output in outputs])

    def _reorder_cache(self, cache: list[Any], beams: torch.Tensor) -> list[Any]:
        for own in cache:
            own.reorder_cache(beams)
        return cache


def _width(member: PreTrainedModel) -> int:
    return getattr(member.config, "encoder", member.config).hidden_size


def ensemble(members: Sequence[Pretrained]) -> Pretrained:
    """One model of several; tokenizer, prefix and decoding are those of the first.

    Raises:
        UserError: there are fewer than two, or they differ in vocabulary, special tokens or prefix.
    """
    if len(members) < 2:
        raise UserError("An ensemble needs two models or more.")
    first = members[0]
    for other in members[1:]:
        _same_vocabulary(first, other)
        _same_prefix(first, other)
    model = EnsembleModel([member.model for member in members]).eval()
    model.name_or_path = model.config._name_or_path = "+".join(member.model.name_or_path for member in members)
    revisions = [member.revision for member in members]
    revision = "+".join(one or "-" for one in revisions) if any(revisions) else None
    return Pretrained(model, first.tokenizer, revision)


def _same_vocabulary(first: Pretrained, other: Pretrained) -> None:
    names = f"{first.model.name_or_path} and {other.model.name_or_path}"
    ours, theirs = first.tokenizer.get_vocab(), other.tokenizer.get_vocab()
    if ours != theirs:
        different = next(iter(sorted(ours.items() ^ theirs.items())))[0]
        raise UserError(
            f"{names} have different vocabularies ({len(ours):,} and {len(theirs):,} pieces; {different!r} for one), "
            "so their token probabilities can't be averaged. mbr: chooses among the summaries of any models."
        )
    for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
        values = [getattr(found.model.generation_config, name) for found in (first, other)]
        if values[0] != values[1]:
            raise UserError(f"{names} differ in {name} ({values[0]} and {values[1]}), so they can't write together.")


def _same_prefix(first: Pretrained, other: Pretrained) -> None:
    prefixes = [task_of_any(found.model, found.tokenizer).prefix for found in (first, other)]
    if prefixes[0] != prefixes[1]:
        raise UserError(
            f"{first.model.name_or_path} and {other.model.name_or_path} expect different prefixes "
            f"({prefixes[0]!r} and {prefixes[1]!r}), so they can't read the same input."
        )
