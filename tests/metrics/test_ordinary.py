"""Words that usually stand in lower case."""

from trainer.metrics import ordinary
from trainer.metrics.ordinary import is_ordinary, ordinary_words


def test_openers_of_news_and_names():
    assert all(map(is_ordinary, ("Police", "campaigners", "Archaeologists", "High-speed", "Turbines", "Earlier")))
    assert not any(map(is_ordinary, ("Leinster", "Rome", "Ganges", "Kendal", "Orm")))


def test_what_is_counted(monkeypatch):
    monkeypatch.setattr(ordinary, "LEAST", 2)
    texts = ["the boats of orm sail, the boats sailed", "by Orm and by Orm, Orm boat the boat ran to"]
    # "orm" is oftener a name, "ran" stands once, "boats" is "boat", and "by", "of" are too short to be counted.
    assert ordinary_words(texts) == ["boat", "the"]
