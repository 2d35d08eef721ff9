"""What two splits share."""

from tests.data.files import FERRY, MILL, jsonl, read, settings
from trainer.data.load import load_split
from trainer.data.splits import leakage_notes, shared_sources


def test_articles_on_both_sides_are_counted(tmp_path):
    again = {
        **MILL,
        "id": "c1",
        "document": " The  mill\nburns. ",
    }  # other white space: still the same article
    changed = {**MILL, "id": "c2", "document": "The mill burns!"}
    train = read(jsonl(tmp_path / "train.jsonl", FERRY, MILL))
    clean = load_split(settings(jsonl(tmp_path / "clean.jsonl", changed)), "validation")
    test = load_split(settings(jsonl(tmp_path / "test.jsonl", changed, again)), "test")
    assert shared_sources(train.examples, test.examples) == ["c1"]
    assert leakage_notes(train, clean, test) == [
        "1 of the 2 test articles (such as id 'c1') is in the training pairs too: test scores will flatter the model."
    ]
