"""Kinds of article: where the answer stands, clusters, quantiles, and gaps from the whole with their intervals."""

import math
from pathlib import Path

import numpy as np
import pytest

from trainer.data.splits import Example
from trainer.metrics.base import Figure, mean_of
from trainer.scoring.ledger import Spool
from trainer.scoring.slices import Features, Slice, Topics, answer_position, slice_records

ARTICLE = "The harbour opened. Boats came in. Nobody knew why. Gulls cried loudly. A whale had died. Rain fell."


def spool(path: Path, examples: list[Example], labels: list[str | None] | None = None) -> Spool:
    made = Spool.create(path / "spool.jsonl")
    for number, example in enumerate(examples):
        made.label = labels[number] if labels else None
        made.append(example)
    made.close_writing()
    return made


class TestPosition:
    @pytest.mark.parametrize(
        ("reference", "position"),
        [
            ("A harbour opened its gates", 0),
            ("Several boats came", 1),  # second of six sentences
            ("gulls cried", 2),  # fourth
            ("the whale died", 3),  # fifth
            ("Rain", 3),
            ("Completely different matters", -1),
            ("the of and", -1),  # function words are no answer
        ],
    )
    def test_by_hand(self, reference, position):
        assert answer_position(ARTICLE, reference) == position

    def test_of_equals_the_first(self):
        assert answer_position("Dogs bark. Dogs bark.", "dogs bark") == 0

    def test_no_sentences(self):
        assert answer_position("", "dogs bark") == -1


class TestTopics:
    # Each word is in at least two texts and in at most half of them; those of other words tell nothing.
    SEA, FARM = ["ship", "harbour", "sailor", "anchor"], ["tractor", "barn", "cattle", "wheat"]

    def texts(self, n=40, seed=0):
        draw = np.random.default_rng(seed)
        return [" ".join(draw.choice(self.FARM if n % 2 else self.SEA, 12)) for n in range(n)]

    def test_vectors_by_hand(self):
        """Two texts of four have "ship": idf = log(5/3) + 1; "tree" and "leaf" likewise."""
        texts = ["ship ship tree", "The ship, leaf", "tree 1984 leaf", "cat dog"]
        vectorizer = Topics.fit(texts, 2, 0)._vectorizer
        assert list(vectorizer.get_feature_names_out()) == ["leaf", "ship", "tree"]  # "cat", "dog" are in one text only
        table = vectorizer.transform(texts).toarray()
        ship, tree = 1 + math.log(2), 1.0  # idf is the same for both and falls out
        assert table[0] == pytest.approx([0, ship / math.hypot(ship, tree), tree / math.hypot(ship, tree)])
        assert table[1] == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0])
        assert not table[3].any()

    def test_clusters_that_are_plain_to_see_are_found(self):
        found = Topics.fit(self.texts(), 2, 0)
        which = found.nearest([*self.texts(60, 1), "zzz"])
        assert len(set(zip(which, [0, 1] * 30, strict=False))) == 2  # one name for one name
        assert which[-1] == -1
        for topic, words in zip(which, (self.SEA, self.FARM), strict=False):
            assert set(found.names[topic].split(", ")[:4]) == set(words)

    def test_the_seed_decides(self):
        draw = np.random.default_rng(2)
        texts = [" ".join(f"{a}{b}x" for a, b in draw.choice(list("abcdefgh"), (20, 2))) for _ in range(50)]
        one, same = (Topics.fit(texts, 4, 3) for _ in range(2))
        assert one.names == same.names and (one.nearest(texts) == same.nearest(texts)).all()

    @pytest.mark.filterwarnings("ignore:Number of distinct clusters")
    def test_copies_of_one_text_do_not_break_it(self):
        texts = ["ship harbour"] * 10 + ["barn"] * 10
        which = Topics.fit(texts, 3, 0).nearest(texts)
        assert len(set(which[:10])) == len(set(which[10:])) == 1

    def test_texts_without_a_word_that_tells_them_apart(self):
        assert Topics.fit(["the of and", "12 3.5", ""] * 20, 2, 0) is None
        assert Topics.fit(["ship harbour"] * 20, 2, 0) is None  # in all texts


class TestFeatures:
    def test_topics_get_the_words_that_set_them_apart(self, tmp_path):
        draw = np.random.default_rng(4)
        kinds = {
            "sea": ["ship", "harbour", "sailor", "anchor"],
            "farm": ["tractor", "barn", "cattle", "wheat"],
        }
        common = ["morning", "people", "river", "weather", "council"]
        examples = []
        for number in range(80):
            words = kinds["sea" if number % 2 else "farm"]
            text = " ".join([*draw.choice(words, 8), *draw.choice(common, 4)])
            examples.append(Example(str(number), text, "people"))
        found = Features.of(spool(tmp_path, examples), ["topic"], topics=2, seed=0)
        assert [int(one.rows.sum()) for one in found.slices] == [40, 40]
        for one in found.slices:
            kind = kinds["sea" if one.rows[1] else "farm"]
            assert set(kind) <= set(one.name.split(", "))
            assert one.rows[1::2].all() != one.rows[::2].all()

    def test_length_is_in_quarters(self, tmp_path):
        examples = [Example(str(n), "word " * n, "word") for n in range(1, 41)]
        found = Features.of(spool(tmp_path, examples), ["length"])
        assert [int(one.rows.sum()) for one in found.slices] == [10, 10, 10, 10]
        assert found.slices[0].name == "shortest (1 to 11 words)" and found.slices[3].rows[30:].all()

    def test_numbers_names_and_labels(self, tmp_path):
        examples = [
            Example(
                str(n), "In May 2019 some 12 boats met Ann Orm of Hull. " * (n % 3) + "they went home again. " * 5, "x"
            )
            for n in range(60)
        ]
        labels = ["sea" if n < 40 else None for n in range(60)]
        found = Features.of(spool(tmp_path, examples, labels), ["numbers", "names", "topic"], seed=0)
        families = dict(found.families())
        assert [one.name.split(" (")[0] for one in families["numbers"]] == [
            "few numbers",
            "some numbers",
            "many numbers",
        ]
        assert families["numbers"][0].rows[::3].all() and families["names"][2].rows[2::3].all()
        assert [(one.name, int(one.rows.sum())) for one in families["topic"]] == [("sea", 40)]
        assert found.about["topic"] == "Topic, as a column of the data states it"

    def test_what_is_too_small_is_said(self, tmp_path):
        examples = [Example(str(n), "all in lower case here.", "nothing shared" if n else "lower") for n in range(12)]
        found = Features.of(spool(tmp_path, examples), ["position", "topic", "names"])
        assert found.slices == []
        assert any(note.startswith("11 references share no word") for note in found.notes)
        assert any("opening sentence (position): 1 example, too few" in note for note in found.notes)
        assert any("12 articles are too few for topics" in note for note in found.notes)
        assert any("no capitalised names" in note for note in found.notes)


class TestGaps:
    def test_by_hand(self):
        values = np.array([1.0, 0.0, 0.5, 0.5] * 10)
        rows = np.zeros(40, bool)
        rows[::4] = rows[2::4] = True  # mean 0.75; the whole 0.5
        features = Features([Slice("length", "some", rows)], {"length": "about"})
        record = slice_records(features, "m", {"s": mean_of(values, "sig")}, samples=500, seed=1)
        (one,) = record["families"][0]["slices"]
        value, gap = one["systems"]["s"]["value"], one["systems"]["s"]["gap"]
        assert one["n"] == 20 and value[0] == pytest.approx(0.75) and gap[0] == pytest.approx(0.25)
        assert value[1] < 0.75 < value[2] and 0 < gap[1] < 0.25 < gap[2]

    def test_the_interval_knows_that_the_slice_is_part_of_the_whole(self):
        """The slice is everything: whatever is drawn, the gap is 0."""
        values = np.random.default_rng(5).random(30)
        features = Features([Slice("length", "all", np.ones(30, bool))], {"length": "about"})
        record = slice_records(features, "m", {"s": mean_of(values, "sig")}, samples=200)
        assert record["families"][0]["slices"][0]["systems"]["s"]["gap"] == pytest.approx([0, 0, 0], abs=1e-12)

    def test_corpus_scores_are_computed_anew_in_the_slice(self):
        """A ratio of sums: in the slice 3/4, on the whole 4/9."""
        top, bottom = np.array([1.0, 2.0, 1.0]), np.array([2.0, 2.0, 5.0])
        ratio = Figure(np.stack([top, bottom], 1), lambda sums: sums[..., 0] / sums[..., 1], "r", top / bottom)
        features = Features([Slice("length", "x", np.array([True, True, False]))], {"length": "about"})
        with np.errstate(invalid="ignore"):
            record = slice_records(features, "m", {"s": ratio}, samples=200)
        one = record["families"][0]["slices"][0]["systems"]["s"]
        assert one["value"][0] == pytest.approx(3 / 4)
        assert one["gap"][0] == pytest.approx(3 / 4 - 4 / 9)
