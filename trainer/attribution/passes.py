"""The passes that gradient methods are made of: from the source's embeddings to log p of each summary token, and back.

The summary is given to the decoder whole ("teacher forcing"), so that one forward pass has all its log probabilities,
and the gradients of any number of them, or of weighted sums of them, are taken back together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trainer.attribution import encoder
from trainer.attribution.gradients import frozen_copy

FLOAT = 4  # bytes
# What a pass may take where nobody says otherwise.
MEMORY = 1 << 30


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

    def embeddings(self, ids: Sequence[int]) -> Tensor:
        """(tokens, width) of the encoder's embedding layer."""
        weight = self.model.encoder.embed_tokens.weight
        return weight[torch.tensor(ids, device=weight.device)]

    def log_probs(self, embeddings: Tensor, target: Sequence[int]) -> Tensor:
        """log p(y_t | y_<t, x) of each summary token, nats: (source tokens, width) → (target tokens)."""
        with torch.inference_mode(False), torch.no_grad():
            if self._encoder is not None:
                read = self._encoder.forward(embeddings).output[None]
            else:
                read = self.model.encoder(inputs_embeds=embeddings[None]).last_hidden_state
            labels = self._labels(target)
            return self._head(self._decode(read, labels), labels)

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
            read, back = self._encode(embeddings)
            with torch.enable_grad():
                leaf = read.detach().requires_grad_()
                states = self._decode(leaf, labels)
                top = states.detach().requires_grad_()
                log_probs = self._head(top, labels)
                # A token's log probability depends on its own state only: the sum's gradient has each one's.
                (own,) = torch.autograd.grad(log_probs.sum(), top)
            found = []
            for part in weights.split(self._rows_at_once(len(embeddings), len(target))):
                above = (part[:, :, None] * own[0])[:, None]
                (above,) = torch.autograd.grad(states, leaf, above, retain_graph=True, is_grads_batched=True)
                with torch.no_grad():
                    gradient = back(above[:, 0])
                    found.append(gradient.norm(dim=-1) if along is None else (gradient * along).sum(-1))
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

    def _encode(self, embeddings: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The encoder's output (1, tokens, width), and what takes gradients (rows, tokens, width) back to the input."""
        if self._encoder is not None:
            with torch.no_grad():
                tape = self._encoder.forward(embeddings)
            return tape.output[None], lambda gradients: self._encoder.backward(tape, gradients)
        with torch.enable_grad():
            leaf = embeddings.detach()[None].requires_grad_()
            read = self.model.encoder(inputs_embeds=leaf).last_hidden_state

        def back(gradients: Tensor) -> Tensor:
            rows = [torch.autograd.grad(read, leaf, row[None], retain_graph=True)[0] for row in gradients]
            return torch.cat(rows)

        return read, back

    def _rows_at_once(self, source_tokens: int, target_tokens: int) -> int:
        """How many rows' gradients fit into half of the memory, beside the forward pass."""
        config = self.model.config
        floats = 6 * config.d_model + 4 * config.num_heads * target_tokens
        return max(1, self._memory // 2 // (FLOAT * source_tokens * floats))

    def _labels(self, target: Sequence[int]) -> Tensor:
        return torch.tensor(target, device=self.model.device)

    def _decode(self, read: Tensor, labels: Tensor) -> Tensor:
        before = self.model.prepare_decoder_input_ids_from_labels(labels[None])
        return self.model.decoder(input_ids=before, encoder_hidden_states=read, use_cache=False).last_hidden_state

    def _head(self, states: Tensor, labels: Tensor) -> Tensor:
        config = self.model.config
        if getattr(config, "scale_decoder_outputs", False):  # mT5 has no such setting and does not scale
            states = states * config.d_model**-0.5
        return self.model.lm_head(states)[0].log_softmax(-1).gather(-1, labels[:, None])[:, 0]
