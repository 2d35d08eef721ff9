"""The share of <unk> in a split, with the characters behind it."""

from transformers import ByT5Tokenizer

from tests.tiny import SMOKE
from trainer.data.load import load_split
from trainer.data.splits import Example, Split
from trainer.data.unknown import LOOKED_AT, unknown_notes
from trainer.settings.groups import DataSettings


def split(*pairs: tuple[str, str]) -> Split:
    return Split("train", [Example(str(n), *pair) for n, pair in enumerate(pairs)], dataset="a")


def test_share_and_characters_are_those_of_the_ids(tiny):
    _, tokenizer = tiny
    pairs = [("The mill {burns} {", "Fire."), ("A ferry sank. " * 60, "A ferry ~ sank. " * 2)]
    counts = []
    for prefix, place in (("summarize: ", 0), ("", 1)):
        ids = [piece for pair in pairs for piece in tokenizer(prefix + pair[place]).input_ids]
        counts.append(ids.count(tokenizer.unk_token_id) / len(ids))
    assert 0 < counts[0] < 0.01 < counts[1]
    (note,) = unknown_notes([split(*pairs)], tokenizer, DataSettings())
    shares = [f"{100 * count:.2g}%" for count in counts]
    assert note == (
        f"Warning: train: {shares[0]} of the articles' and {shares[1]} of the summaries' tokens are <unk>, characters "
        "that the vocabulary lacks, most often { ~ }. The model neither reads nor writes them: from 1% on, a model "
        "whose vocabulary knows this language or these signs will do better."
    )


def test_below_the_share_it_is_no_warning(tiny):
    (note,) = unknown_notes(
        [split(("A ferry sank { and \x7f. " + "The mill burns. " * 60, "Fire."))], tiny[1], DataSettings()
    )
    assert note.startswith("train: 0.") and note.endswith("most often { \\x7f.")


def test_what_is_cut_off_does_not_count(tiny):
    pair = ("A ferry sank. " * 60 + "{" * 9, "Fire.")
    assert unknown_notes([split(pair)], tiny[1], DataSettings(max_source_length=40)) == ["train: no token is <unk>."]


def test_a_large_split_is_looked_at_evenly(tiny):
    pairs = [("A mill.", "Fire.")] * LOOKED_AT + [("A {mill}.", "Fire.")] * LOOKED_AT
    (note,) = unknown_notes([split(*pairs)], tiny[1], DataSettings())
    assert note.startswith("Warning: train (1,000 of 2,000 pairs): ")


def test_every_split_and_no_byte_vocabulary(tiny):
    data = DataSettings(**{f"{name}_file": SMOKE / f"{name}.jsonl" for name in ("train", "validation", "test")})
    splits = [load_split(data, name) for name in data.splits]
    assert [note.partition(":")[0] for note in unknown_notes(splits, tiny[1], data)] == ["train", "validation", "test"]
    assert unknown_notes(splits, ByT5Tokenizer(), data) == []
