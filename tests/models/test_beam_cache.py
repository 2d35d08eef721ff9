"""Beam search with the source left in place writes what transformers' own cache writes."""

import pytest
import torch
from transformers import GenerationConfig

from tests.tiny import tiny_t5
from trainer.models.beam_cache import BeamCache, beam_cache
from trainer.summarizers.ensemble import EnsembleModel

SEARCH = {"num_beams": 6, "max_new_tokens": 20, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


@pytest.fixture(scope="module")
def model():
    return tiny_t5(seed=3)[0].eval()


def inputs(model):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, model.config.vocab_size, (3, 30), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 11:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("more", [{}, {"do_sample": True}, {"no_repeat_ngram_size": 2}, {"num_return_sequences": 6}])
def test_tokens_and_scores_are_those_of_the_plain_cache(model, more):
    generation = GenerationConfig(**SEARCH, **more, return_dict_in_generate=True, output_scores=True)
    found = []
    with torch.inference_mode():
        for cache in ({}, beam_cache(model, generation)):
            torch.manual_seed(0)
            found.append(model.generate(**inputs(model), generation_config=generation, **cache))
    assert torch.equal(found[0].sequences, found[1].sequences)
    assert torch.equal(found[0].sequences_scores, found[1].sequences_scores)
    # Beams did change places; had the decoder's own keys stayed, other tokens would have been written.
    assert (found[0].beam_indices[:, 1:] != found[0].beam_indices[:, :-1]).any()
    assert isinstance(found[1].cache, BeamCache)


@pytest.mark.parametrize("settings", [{"num_beams": 1}, {"use_cache": False}, {"cache_implementation": "static"}])
def test_other_searches_keep_the_cache_they_ask_for(model, settings):
    assert beam_cache(model, GenerationConfig(**(SEARCH | settings))) == {}


def test_a_model_with_a_cache_of_its_own_keeps_it(model):
    assert beam_cache(EnsembleModel([model, model]), GenerationConfig(**SEARCH)) == {}
