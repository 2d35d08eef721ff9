"""The language of the texts, and a claim that they do not bear out."""

import json

import pytest

from tests.tiny import SMOKE
from trainer.data.language import language_of, other_language
from trainer.data.splits import Example
from trainer.errors import UserError

GERMAN = Example(
    "1",
    "Der Hafen wurde am Montag geschlossen, nachdem ein Sturm das Dach der Fischhalle abgedeckt hatte. Niemand wurde "
    "verletzt, doch ein Dutzend Boote riss sich los, und zwei davon sanken.",
    "Nach einem Sturm ist der Hafen geschlossen worden.",
)
TURKISH = Example(
    "2",
    "Fırtınanın balık pazarının çatısını uçurmasının ardından liman pazartesi günü kapatıldı. Kimse yaralanmadı.",
    "Liman fırtınadan sonra kapatıldı.",
)


@pytest.fixture(scope="module")
def english() -> list[Example]:
    rows = [json.loads(line) for line in (SMOKE / "train.jsonl").read_text("utf-8").splitlines()]
    return [Example(row["id"], row["document"], row["summary"]) for row in rows]


def test_the_language_of_all_texts(english):
    assert language_of(english) == language_of(english, "en") == "en"
    assert language_of([GERMAN] * 3) == "de"
    assert language_of([TURKISH]) == "tr"
    assert language_of([*english, GERMAN]) == "en", "one in 29 is a stray"
    assert language_of(english * 100) == "en"


def test_what_is_not_in_one_language_has_none(english):
    assert language_of(english[:4] + [GERMAN] * 2) is None
    assert language_of([Example(pair.id, pair.source, GERMAN.target) for pair in english]) is None
    assert language_of([Example("1", "1 2 3", "4")]) is None


def test_a_claim_is_checked(english):
    assert language_of(english, "none") is None
    with pytest.raises(UserError, match=r"--language is 'en', but 6 of the training texts read as de \(100%\)"):
        language_of([GERMAN] * 3, "en")
    with pytest.raises(UserError, match="--language is 'english'"):
        language_of(english, "english")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN.source, "German"),
        (TURKISH.source, "Turkish"),
        ("The harbour was closed on Monday.", None),
        ("Lantern", None),  # may be a word of any language
        ("", None),
        ("12 + 30", None),
        ("Dúnadh an cuan Dé Luain tar éis na stoirme móire aréir.", "another language (ISO 639 “ga”)"),
    ],
)
def test_a_language_that_clearly_is_another(text, language):
    assert other_language(text) == language
