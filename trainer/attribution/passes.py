"""The passes that gradient methods are made of: from the source's embeddings to log p of each summary token, and back.

The summary is given to the decoder whole ("teacher forcing"), so that one forward pass has all its log probabilities,
and the gradients of any number of them, or of weighted sums of them, are taken back together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trainer.attribution import encoder
from trainer.attribution.decoder import Decoder
from trainer.attribution.gradients import frozen_copy

FLOAT = 4  # bytes
# What a pass may take where nobody says otherwise.
MEMORY = 1 << 30
WORK_BYTES = 64 << 20


@dataclass(frozen=True)
class Attentions:
    """Attention weights, and what the encoder gave the decoder to read.

    Attributes:
        cross: (decoder layers, heads, target tokens, source tokens); row t belongs to the step that writes token t.
        encoder: (encoder layers, heads, source tokens, source tokens).
        read: (1, source tokens, width).
    """

    cross: Tensor
    encoder: Tensor
    read: Tensor


class Passes:
    """Forward and backward passes of one model, in float32, one source at a time.

    The model is left as it is: a private copy that shares the weights does the work. Threads may share an object.

    Args:
        model: of the T5 family, on any device. T5, mT5 and umT5 have a backward pass of their own
            (`trainer.attribution.encoder`), LongT5 goes through autograd.
        memory: bytes that a pass may take beside the weights; fewer take longer.
    """

    def __init__(self, model: PreTrainedModel, *, memory: int = MEMORY):
        self._memory = memory
        with torch.inference_mode(False):
            self.model = frozen_copy(model)
            self.model.set_attn_implementation("eager")  # the fused kernel goes back for one gradient at a time
            fits = encoder.fits(model)
            self._encoder = encoder.Encoder(self.model.encoder, model.config, memory // 2) if fits else None
            self._decoder = Decoder(self.model.decoder, model.config) if fits else None

    def embeddings(self, ids: Sequence[int]) -> Tensor:
        """(tokens, width) of the encoder's embedding layer."""
        weight = self.model.encoder.embed_tokens.weight
        return weight[torch.tensor(ids, device=weight.device)]

    def log_probs(self, embeddings: Tensor, target: Sequence[int]) -> Tensor:
        """log p(y_t | y_<t, x) of each summary token, nats: (source tokens, width) → (target tokens)."""
        with torch.inference_mode(False), torch.no_grad():
            labels = self._labels(target)
            return self._head(self._decode(self._encode(embeddings)[0], labels)[0], labels)

    def gradients(
        self, embeddings: Tensor, target: Sequence[int], weights: Tensor, along: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Log probabilities, and how weighted sums of them change as each source token moves along a direction.

        Args:
            embeddings: (source tokens, width).
            target: the summary's ids, `</s>` included.
            weights: (rows, target tokens); a row explains Σ weight × log p. One-hot rows explain single tokens.
            along: (source tokens, width) the directions; None: that in which the sum rises fastest.

        Returns:
            (target tokens) log p in nats, and (rows, source tokens): gradient · direction, or the gradient's length.
        """
        labels = self._labels(target)
        with torch.inference_mode(False):
            read, through_encoder = self._encode(embeddings)
            with torch.enable_grad():
                states, through_decoder = self._decode(read, labels)
                top = states.detach().requires_grad_()
                log_probs = self._head(top, labels)
                # A token's log probability depends on its own state only: the sum's gradient has each one's.
                (own,) = torch.autograd.grad(log_probs.sum(), top)
            found = []
            for part in weights.split(self._rows_at_once(len(embeddings), len(target))):
                above = through_decoder(part[:, :, None] * own)
                with torch.no_grad():
                    found.append(
                        through_encoder(above, along) if along is not None else through_encoder(above).norm(dim=-1)
                    )
            return log_probs.detach(), torch.cat(found)

    def attentions(self, source: Sequence[int], target: Sequence[int]) -> Attentions:
        """The attention weights of one forward pass."""
        with torch.inference_mode(False), torch.no_grad():
            ids = torch.tensor([list(source)], device=self.model.device)
            encoded = self.model.encoder(input_ids=ids, output_attentions=True)
            decoded = self.model.decoder(
                input_ids=self.model.prepare_decoder_input_ids_from_labels(self._labels(target)[None]),
                encoder_hidden_states=encoded.last_hidden_state,
                use_cache=False,
                output_attentions=True,
            )
        return Attentions(
            cross=torch.cat(decoded.cross_attentions),
            encoder=torch.cat(encoded.attentions),
            read=encoded.last_hidden_state,
        )

    def _encode(self, embeddings: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        """The encoder's output (tokens, width), and what takes gradients (rows, tokens, width) back to the input.

        The latter takes a direction too: see `encoder.Encoder.backward`.
        """
        if self._encoder is not None:
            with torch.no_grad():
                tape = self._encoder.forward(embeddings)
            return tape.output, partial(self._encoder.backward, tape)
        with torch.enable_grad():
            leaf = embeddings.detach().requires_grad_()
            read = self.model.encoder(inputs_embeds=leaf[None]).last_hidden_state[0]

        def back(gradients: Tensor, along: Tensor | None = None) -> Tensor:
            found = torch.stack([torch.autograd.grad(read, leaf, row, retain_graph=True)[0] for row in gradients])
            return found if along is None else (found * along).sum(-1)

        return read.detach(), back

    def _decode(self, read: Tensor, labels: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The decoder's output (target tokens, width), and what takes gradients by it back to the encoder's output."""
        before = self.model.prepare_decoder_input_ids_from_labels(labels[None])
        if self._decoder is not None:
            decoded = self._decoder.forward(read, before[0])
            return decoded.output, partial(self._decoder.backward, decoded)
        leaf = read.detach().requires_grad_()
        states = self.model.decoder(
            input_ids=before, encoder_hidden_states=leaf[None], use_cache=False
        ).last_hidden_state[0]

        def back(gradients: Tensor) -> Tensor:
            return torch.autograd.grad(states, leaf, gradients, retain_graph=True, is_grads_batched=True)[0]

        return states, back

    def _rows_at_once(self, source_tokens: int, target_tokens: int) -> int:
        """How many rows are taken back together, for half of the memory at the most, beside the forward pass.

        More than some tens of megabytes only cost: the memory is then asked of the system anew each time.
        """
        config = self.model.config
        floats = 6 * config.d_model + (config.num_decoder_layers + 3) * config.num_heads * target_tokens
        return max(1, min(self._memory // 2, WORK_BYTES) // (FLOAT * source_tokens * floats))

    def _labels(self, target: Sequence[int]) -> Tensor:
        return torch.tensor(target, device=self.model.device)

    def _head(self, states: Tensor, labels: Tensor) -> Tensor:
        config = self.model.config
        if config.model_type != "mt5" and config.scale_decoder_outputs:  # mT5 never scales, whatever its config says
            states = states * config.d_model**-0.5
        return self.model.lm_head(states).log_softmax(-1).gather(-1, labels[:, None])[:, 0]
