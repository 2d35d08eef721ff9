"""A T5 decoded by CTranslate2, an optional package: in int8 the quickest for models smaller than t5-small.

Which of the two int8 engines is quicker for which model stands in trainer/records/bench/decoding.json. CTranslate2's
beam search ends as soon as it has as many finished summaries as beams, so beams can differ from those of `generate`.
"""

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.errors import UserError
from trainer.models.beam_search import Hypothesis
from trainer.models.t5_decoding import Decoding
from trainer.models.t5_network import T5Network, scales_output, weights_of

# What a number format of the settings is called there.
COMPUTE_TYPES = {"ctranslate2-int8": "int8", "ctranslate2-fp32": "float32"}


class CTranslate2Decoder:
    """The weights of a T5 in CTranslate2's own layout, made in a temporary folder that is gone afterwards.

    Args:
        model: one for which `T5Network.supports` is true.
        tokenizer: gives CTranslate2 the names of the ids; any of the model's vocabulary will do.
        number_format: one of `COMPUTE_TYPES`.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, number_format: str):
        try:
            import ctranslate2  # optional
        except ImportError as error:
            raise UserError(
                f"number_format is {number_format}, which needs a package that is not installed: type "
                "`pip install ctranslate2==4.8.5`, or leave it at fp32."
            ) from error
        self.number_format = number_format
        self._weights = weights_of(model)
        compute_type = COMPUTE_TYPES[number_format]
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it passes transformers settings by their former names
            whole, converted = (str(Path(folder, name)) for name in ("model", "converted"))
            weights = model.state_dict()
            if not scales_output(model):  # its converter takes every T5 of transformers 5 for one that does
                weights["lm_head.weight"] = weights["lm_head.weight"] * model.config.d_model**0.5
            model.save_pretrained(whole, state_dict=weights)
            tokenizer.save_pretrained(whole)
            ctranslate2.converters.TransformersConverter(whole).convert(converted, quantization=compute_type)
            self._names: list[str] = json.loads(Path(converted, "shared_vocabulary.json").read_text("utf-8"))
            self._translator = ctranslate2.Translator(
                converted, compute_type=compute_type, intra_threads=torch.get_num_threads()
            )
        self._ids = {name: number for number, name in enumerate(self._names)}

    @staticmethod
    def supports(model: torch.nn.Module, decoding: Decoding) -> bool:
        """Whether it can decode the model with these settings: greedy or beams, nothing else changing the scores."""
        plain = not (decoding.samples or decoding.never or decoding.not_first or decoding.before or decoding.after)
        return plain and decoding.max_time == float("inf") and len(decoding.ends) == 1 and T5Network.supports(model)

    def is_of(self, model: PreTrainedModel, number_format: str) -> bool:
        """Whether these are still the weights of `model`, in that format; to be asked before each decoding."""
        return self.number_format == number_format and self._weights == weights_of(model)

    def decode(self, articles: Sequence[Sequence[int]], decoding: Decoding) -> list[list[Hypothesis]]:
        """As `trainer.models.t5_decoding.decode`; scores are Σ log p / length ** length_penalty."""
        results = self._translator.translate_batch(
            [[self._names[token] for token in ids] for ids in articles],
            beam_size=decoding.rows if decoding.beams else 1,
            num_hypotheses=decoding.returned,
            length_penalty=decoding.length_penalty,
            no_repeat_ngram_size=decoding.no_repeat_ngram_size,
            max_decoding_length=decoding.max_new_tokens,
            min_decoding_length=decoding.min_new_tokens,
            max_input_length=0,
            return_scores=decoding.beams,
            return_end_token=True,
        )
        return [
            [
                # It counts no end token, so a summary may be longer by that than is asked for.
                Hypothesis([self._ids[name] for name in names][: decoding.max_new_tokens], score)
                for names, score in zip(
                    result.hypotheses, result.scores or [None] * len(result.hypotheses), strict=True
                )
            ]
            for result in results
        ]
