"""Names and numbers told by their pieces, what they are left out of, and what the decoder still reads."""

import numpy as np
import pytest
import torch

from tests.tiny import tiny_t5, tiny_tokenizer
from trainer.data.sampling import EvenSampler, TrainingPairs
from trainer.data.spelling import Spelling
from trainer.data.splits import Example
from trainer.data.tokens import collator, tokenize
from trainer.errors import UserError
from trainer.metrics.facts import unsupported
from trainer.models.vocabulary import train_vocabulary
from trainer.pretraining.objectives import Pair
from trainer.settings.groups import DataSettings


def marked(target: str, source: str) -> str:
    """The text of the pieces that are found to be unsupported."""
    tokenizer = tiny_tokenizer()
    ids, read = (np.asarray(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (target, source))
    found = Spelling.of(tokenizer).unsupported(ids, read)
    assert found.shape == ids.shape
    return tokenizer.decode(ids[found])


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        ("the mayor Anna Brown spoke", "the mayor Anna Brown spoke at length", ""),
        ("the mayor Anna Brown spoke", "the mayor Anna spoke", "Brown"),
        ("it cost 45 pounds", "it cost 4 pounds", "45"),  # a number with a digit that is not there
        ("the mayor spoke", "nothing of the kind", ""),  # neither a name nor a number
        ("The mayor spoke. The end", "nothing", ""),  # capitals that any sentence begins with
        ("he saw Anna, who left", "he left", "Anna"),  # the comma is no part of the name
    ],
)
def test_names_and_numbers_that_the_source_lacks(target, source, expected):
    assert marked(target, source) == expected


def test_with_a_vocabulary_of_words_it_agrees_with_the_texts_reading():
    """A vocabulary in which these words are whole: ids and letters must tell the same names."""
    summary = "He told Ellery and Orsa that Merrow had left"
    source = "He said that Orsa left; told and had: Ellery"
    tokenizer = train_vocabulary([summary, source] * 400, 300)
    ids, read = (np.asarray(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (summary, source))
    found = tokenizer.decode(ids[Spelling.of(tokenizer).unsupported(ids, read)])
    assert found == "Merrow" == unsupported(summary, source)[0].text


def test_a_vocabulary_of_bytes_is_refused():
    class Bytes:
        all_special_tokens = ("</s>",)

        def __len__(self):
            return 4

        def convert_ids_to_tokens(self, ids):
            return ["</s>", "a", "b", "Ã"]

    with pytest.raises(UserError, match="needs a vocabulary of SentencePiece words"):
        Spelling.of(Bytes())


PAIRS = [
    Example("1", "the storm sank two boats at the harbour of Ellery.", "A storm sank 45 boats near Ellery and Orsa."),
    Example("2", "Prices rose at the market.", "Prices rose."),
]


def test_training_items_say_what_is_ignored_and_the_decoder_still_reads_it():
    model, tokenizer = tiny_t5()
    tokens = tokenize(PAIRS, tokenizer, DataSettings())
    pairs = TrainingPairs(tokens, tokenizer.eos_token_id, Spelling.of(tokenizer))
    plain = collator(tokenizer, model)([TrainingPairs(tokens, tokenizer.eos_token_id)[row] for row in (0, 1)])
    batch = collator(tokenizer, model)([pairs[0], pairs[1]])
    ignored = pairs[0]["ignored"]
    assert tokenizer.decode(np.asarray(pairs[0]["labels"])[ignored]) == "45 Orsa" and pairs[1]["ignored"] == []
    assert torch.equal(batch["decoder_input_ids"], plain["decoder_input_ids"])
    assert torch.equal(batch["input_ids"], plain["input_ids"])
    expected = plain["labels"].clone()
    expected[0, ignored] = -100
    assert torch.equal(batch["labels"], expected) and not torch.equal(batch["labels"], plain["labels"])
    assert pairs[EvenSampler.BLANK] == {"input_ids": [tokenizer.eos_token_id], "labels": [-100]}


def test_what_is_ignored_gives_no_gradient_of_its_own():
    """The gradient is that of the loss over the other pieces, written out by hand."""
    model, tokenizer = tiny_t5()
    pairs = TrainingPairs(
        tokenize(PAIRS[:1], tokenizer, DataSettings()), tokenizer.eos_token_id, Spelling.of(tokenizer)
    )
    batch = collator(tokenizer, model)([pairs[0]])
    model(**batch).loss.backward()
    found = model.lm_head.weight.grad.clone()
    model.zero_grad()
    logits = model(**{name: ids for name, ids in batch.items() if name != "labels"}).logits[0]
    learnt = [place for place in range(len(pairs[0]["labels"])) if place not in pairs[0]["ignored"]]
    chances = logits.log_softmax(-1)[learnt, torch.tensor(pairs[0]["labels"])[learnt]]
    (-chances.mean()).backward()
    assert torch.allclose(model.lm_head.weight.grad, found, atol=1e-6) and found.abs().max() > 0


def test_a_pair_of_arrays_is_read_as_it_is():
    tokenizer = tiny_tokenizer()
    pair = Pair(*(np.asarray(tokenizer(text)["input_ids"]) for text in ("Orsa fell", "Ellery fell")))
    assert Spelling.of(tokenizer).unsupported(pair.target, pair.source).any()
