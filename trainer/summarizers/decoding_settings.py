"""Decoding settings: a model's own with those that are asked for over them, checked, and with a limit in any case."""

import copy
from typing import Any

from transformers import GenerationConfig

from trainer.errors import UserError, nearest
from trainer.summarizers.base import positive

# transformers stops after 20 tokens when nobody says more, which cut most published T5-small summaries in
# mid-sentence.
DEFAULT_MAX_NEW_TOKENS = 128
LIBRARY_MAX_LENGTH = 20


def generation_config(
    own: GenerationConfig, given: dict[str, Any], writable: int | None = None, candidates: int = 1
) -> GenerationConfig:
    """A copy of the model's config with the given settings over it and a limit of new tokens in any case.

    `writable` is how many tokens the decoder has positions for: of n new tokens it reads the start and n - 1.
    """
    given = dict(given)
    known = [name for name in vars(GenerationConfig()) if not name.startswith("_")]
    for name in given:
        if name not in known:
            near = nearest(name, known)
            raise UserError(f"No decoding setting is called {name!r}" + (f": did you mean {near!r}?" if near else "."))
    config = copy.deepcopy(own)
    if config.max_length == LIBRARY_MAX_LENGTH:  # written by older versions of transformers, chosen by nobody
        config.max_length = None
    for new, old in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        limits = (given.pop(new, None), _less_start(given.pop(old, None)))
        limits += (getattr(config, new), _less_start(getattr(config, old)))
        setattr(config, new, next((limit for limit in limits if limit is not None), None))
        setattr(config, old, None)
    for name, value in given.items():
        setattr(config, name, value)
    if config.max_new_tokens is None:
        config.max_new_tokens = DEFAULT_MAX_NEW_TOKENS
    config.num_beams = config.num_beams or 1
    config.do_sample = bool(config.do_sample)
    config.num_return_sequences = positive("candidates", candidates)
    if candidates > 1 and not config.do_sample:
        config.num_beams = max(config.num_beams, candidates)
    if config.num_beams == 1:  # they mean nothing to a greedy search, and transformers warns of them
        config.length_penalty = config.early_stopping = None
    for name, least in (("max_new_tokens", 1), ("num_beams", 1)):
        value = getattr(config, name)
        if not isinstance(value, int) or value < least:
            raise UserError(f"{name} is {value!r}: it must be a whole number of {least} or more.")
    if writable is not None:
        config.max_new_tokens = min(config.max_new_tokens, writable)
        config.min_new_tokens = min(config.min_new_tokens or 0, writable) or None
    try:
        config.validate()
    except ValueError as error:
        raise UserError(f"These decoding settings do not go together: {error}") from error
    return config


def _less_start(length: int | None) -> int | None:
    """A length that counts the start token, as `max_length` does, in new tokens."""
    return None if length is None else max(length - 1, 0)
