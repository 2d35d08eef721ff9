"""Noisy copies: a share of the articles, anew in each epoch, the same for the same seed; summaries stay."""

import pytest

from tests.tiny import SMOKE, tiny_tokenizer
from trainer.data.encoding import encode
from trainer.data.load import load_split
from trainer.data.noise import CHANGES
from trainer.data.noisy_copies import NoisyCopies
from trainer.data.tokens import JoinedDataset, tokenize
from trainer.settings.groups import DataSettings
from trainer.settings.robust import NOISES

PREFIXES = ("summarize: ", "headline: ")
SIZES = (20, 8)


@pytest.fixture(scope="module")
def parts():
    """(pairs, tokenizer, the pairs as ids with two prefixes)."""
    files = {f"{name}_file": SMOKE / f"{name}.jsonl" for name in ("train", "validation")}
    examples = load_split(DataSettings(**files), "train").examples
    tokenizer = tiny_tokenizer()
    tokens = JoinedDataset(
        tokenize(some, tokenizer, DataSettings(**files, prefix=prefix, max_source_length=90))
        for prefix, some in zip(PREFIXES, (examples[:20], examples[20:]), strict=True)
    )
    return examples, tokenizer, tokens


def copies(parts, noises=(("lost case", 1.0), ("web furniture", 2)), share=0.5, seed=1):
    examples, tokenizer, tokens = parts
    prefixes = list(zip(PREFIXES, SIZES, strict=True))
    options = {"prefixes": prefixes, "max_source_length": 90, "noises": noises, "share": share, "seed": seed}
    return NoisyCopies(examples, tokens, tokenizer, **options)


def changed(noisy):
    return [row for row in range(len(noisy)) if noisy[row] != noisy.tokens[row]]


def test_a_share_is_damaged_anew_in_each_epoch_and_the_same_again(parts):
    noisy = copies(parts)
    first = [noisy[row] for row in range(len(noisy))]
    assert len(noisy) == 28 and 6 <= len(changed(noisy)) <= 22
    assert first == [copies(parts)[row] for row in reversed(range(28))][::-1]  # whatever was asked for before
    assert first != [copies(parts, seed=2)[row] for row in range(28)]
    before = changed(noisy)
    noisy.set_epoch(1)
    assert changed(noisy) != before
    noisy.set_epoch(0)
    assert changed(noisy) == before
    assert not changed(copies(parts, share=0.0)) and len(changed(copies(parts, share=1.0))) == 28


def test_prefix_and_summary_stay_and_the_limit_holds(parts):
    noisy, tokenizer = copies(parts, noises=[("web furniture", 2)], share=1.0), parts[1]
    for row in range(28):
        prefix = PREFIXES[row >= SIZES[0]]
        start = encode(tokenizer, [prefix.strip()])[0].body
        pair = noisy[row]
        assert pair["input_ids"][: len(start)] == start
        assert pair["labels"] == noisy.tokens[row]["labels"]
        assert len(pair["input_ids"]) <= 90 and pair["input_ids"][-1] == tokenizer.eos_token_id


def test_lengths_and_notes_are_those_of_the_articles_as_they_are(parts):
    noisy, tokens = copies(parts), parts[2]
    assert noisy.source_lengths.tolist() == [len(tokens[row]["input_ids"]) for row in range(28)]
    assert noisy.target_lengths.tolist() == [len(tokens[row]["labels"]) for row in range(28)]
    assert noisy.notes() == tokens.notes() and "cut to --max_source_length 90" in noisy.notes()[0]


def test_the_settings_know_every_kind_of_noise():
    noises = {name: change for name, change in CHANGES.items() if change.kind == "noise"}
    assert noises.keys() == NOISES.keys()
    assert all(max(change.strengths) <= NOISES[name] for name, change in noises.items())
