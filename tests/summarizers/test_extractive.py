"""Summaries made of sentences of the article."""

import json
import math
import random
import tracemalloc
from typing import ClassVar

import networkx
import numpy as np
import pytest

from trainer.data.sentences import split_sentences
from trainer.errors import UserError
from trainer.metrics.rouge import RougeTokenizer, rouge
from trainer.summarizers import extractive
from trainer.summarizers.extractive import LeadN, Oracle, RandomN, TextRank


class TestExtractive:
    SOURCE = "One is first. Two is second! Three is third? Four is last."

    @pytest.mark.parametrize(
        ("n", "text"),
        [(1, "One is first."), (3, "One is first. Two is second! Three is third?"), (9, SOURCE)],
    )
    def test_lead_takes_the_first_sentences(self, n, text):
        (summary,) = LeadN(n).summarize([self.SOURCE])
        assert summary.text == text
        assert (summary.tokens_read, summary.tokens_total, summary.score) == (12, 12, None)
        assert summary.finished

    def test_random_takes_sentences_in_the_order_of_the_article(self):
        for seed in range(20):
            (summary,) = RandomN(2, seed).summarize([self.SOURCE])
            places = [
                self.SOURCE.index(part[:3]) for part in summary.text.replace("!", ".").replace("?", ".").split(". ")
            ]
            assert len(places) == 2
            assert places == sorted(places)

    def test_random_does_not_depend_on_order_or_company(self):
        sources = [f"{self.SOURCE} Number {number} ends." for number in range(50)]
        together = RandomN(1, seed=3).summarize(sources)
        assert RandomN(1, seed=3).summarize(sources[::-1]) == together[::-1]
        assert [RandomN(1, seed=3).summarize([source])[0] for source in sources] == together
        assert RandomN(1, seed=4).summarize(sources) != together

    def test_random_draws_every_sentence_equally_often(self):
        """2,000 draws of one in four: each about 500, far outside 440–560 by chance once in thousands."""
        sources = [f"One here. Two here. Three here. Four {number}." for number in range(2000)]
        firsts = [summary.text.split()[0] for summary in RandomN(1).summarize(sources)]
        assert all(440 < firsts.count(word) < 560 for word in ("One", "Two", "Three", "Four"))

    @pytest.mark.parametrize("system", [LeadN(1), LeadN(3), RandomN(1), RandomN(3)])
    def test_no_article_and_no_sentence(self, system):
        assert system.summarize([]) == []
        assert [summary.text for summary in system.summarize(["", " \n ", "x"])] == ["", "", "x"]

    def test_lone_surrogates_are_no_crash(self):
        assert RandomN(1).summarize(["\ud800 x."])[0].text == "\ud800 x."

    def test_describe_is_json(self):
        assert json.loads(json.dumps(LeadN(3).describe())) == {
            "system": "lead-3",
            "model": None,
            "revision": None,
            "decoding": {"sentences": 3, "sentence_split": "regex-v1"},
            "number_format": None,
            "seed": None,
        }
        assert RandomN(1, 7).describe()["seed"] == 7
        assert RandomN(1, 7).describe()["system"] == "random-1"

    @pytest.mark.parametrize("build", [LeadN, RandomN])
    def test_no_sentences_at_all_are_refused(self, build):
        with pytest.raises(UserError, match="is 0: it must be 1 or more"):
            build(0)


class TestTextRank:
    SENTENCES: ClassVar = [
        "The storm closed the harbour.",
        "A storm sank two boats in the harbour.",
        "Boats sank.",
        "Nobody complained.",
    ]

    def test_weights_by_hand(self):
        """Stems without function words: storm close harbour; storm sank two boat harbour; boat sank; 2 more."""
        weights = TextRank(1)._graph(self.SENTENCES).table()
        expected = np.zeros((4, 4))
        expected[0, 1] = expected[1, 0] = 2 / (math.log(3) + math.log(5))  # storm, harbour
        expected[1, 2] = expected[2, 1] = 2 / (math.log(5) + math.log(2))  # sank, boat
        assert weights == pytest.approx(expected)

    def test_ranks_are_those_of_an_independent_pagerank(self, monkeypatch):
        """By the eigenvector of networkx's Google matrix, on random texts; those of the way for long texts too."""
        draw = random.Random(3)
        words = ["storm", "harbour", "boat", "sank", "mayor", "repair", "spring", "market", "roof", "tide"]
        for _ in range(20):
            sentences = [" ".join(draw.choices(words, k=draw.randrange(1, 7))) for _ in range(draw.randrange(1, 9))]
            system = TextRank(1)
            weights = system._graph(sentences).table()
            graph = networkx.from_numpy_array(weights)
            values, vectors = np.linalg.eig(np.asarray(networkx.google_matrix(graph, alpha=0.85)).T)
            ranks = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
            assert system.ranks(sentences) == pytest.approx(ranks / ranks.sum(), abs=1e-9)
            with monkeypatch.context() as patch:
                patch.setattr(extractive, "SOLVED_DIRECTLY", 0)
                assert system.ranks(sentences) == pytest.approx(ranks / ranks.sum(), abs=1e-9)

    def test_the_most_central_sentence_wins_and_order_is_the_articles(self):
        source = " ".join(self.SENTENCES)
        assert TextRank(1).summarize([source])[0].text == self.SENTENCES[1]
        assert TextRank(2).summarize([source])[0].text in (
            " ".join(self.SENTENCES[:2]),
            " ".join(self.SENTENCES[1:3]),
        )
        assert TextRank(9).summarize([source])[0].text == source

    def test_a_very_long_text_takes_little_memory(self):
        """22,000 sentences: the table of their weights alone would be 3.9 GB."""
        draw = random.Random(2)
        words = ["".join(draw.choices("bcdfghklmnprst", k=6)) for _ in range(2000)]
        sentences = [" ".join(draw.choices(words, k=draw.randint(1, 40))) for _ in range(22_000)]
        tracemalloc.start()
        ranks = TextRank(3).ranks(sentences)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 400e6
        assert ranks.sum() == pytest.approx(1) and ranks.min() > 0

    def test_without_a_link_the_first_sentence_is_taken(self):
        assert TextRank(1).summarize(["Rain fell. Nobody knew. Prices rose."])[0].text == "Rain fell."
        assert [summary.text for summary in TextRank(3).summarize(["", "The of. And.", "今日は。明日は。"])] == [
            "",
            "The of. And.",
            "今日は。 明日は。",
        ]

    def test_describe(self):
        about = TextRank(3).describe()
        assert about["system"] == "textrank-3"
        assert about["decoding"]["damping"] == 0.85
        with pytest.raises(UserError, match="textrank-n is 0"):
            TextRank(0)


class TestOracle:
    SOURCE = "Rain fell all day. The mayor of Ellery left. A storm sank two boats. Nobody was hurt. Prices rose."

    def test_it_adds_the_sentence_that_helps_most_until_none_does(self):
        oracle = Oracle()
        (summary,) = oracle.summarize([self.SOURCE], ["Two boats sank and nobody was hurt in a storm."])
        assert summary.text == "A storm sank two boats. Nobody was hurt."
        assert oracle.describe()["decoding"]["sees_reference"] is True

    def test_at_most(self):
        reference = "Two boats sank and nobody was hurt in a storm."
        assert Oracle(most=1).summarize([self.SOURCE], [reference])[0].text == "A storm sank two boats."
        with pytest.raises(UserError, match="most of oracle is 0"):
            Oracle(most=0)

    def test_nothing_in_common_gives_an_empty_summary(self):
        assert [one.text for one in Oracle().summarize([self.SOURCE, ""], ["zzz", "x"])] == ["", ""]

    def test_two_rows_of_one_source_have_each_its_own_reference(self):
        found = Oracle().summarize([self.SOURCE] * 2, ["Prices rose.", "Rain fell all day."])
        assert [one.text for one in found] == ["Prices rose.", "Rain fell all day."]

    def test_its_objective_is_rouge_as_the_tool_counts_it(self):
        draw = random.Random(4)
        words = ["storm", "sinks", "boats", "the", "Ran.", "a", "harbours"]
        for _ in range(100):
            summary, reference = (" ".join(draw.choices(words, k=draw.randrange(8))) for _ in range(2))
            found = rouge([summary], [reference], ["rouge1", "rouge2"])
            tokens = RougeTokenizer()
            own = Oracle._score([0], [tokens.tokenize(summary)], tokens.tokenize(reference))
            assert own == pytest.approx(found.mean("rouge1") + found.mean("rouge2"))

    def test_no_single_sentence_and_no_baseline_is_better_on_real_articles(self, shared_data):
        rows = [json.loads(line) for line in (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()[:60]]
        sources, references = [row["document"] for row in rows], [row["summary"] for row in rows]

        def objective(texts):
            found = rouge(texts, references, ["rouge1", "rouge2"])
            return found.values["rouge1"][:, 2] + found.values["rouge2"][:, 2]

        bound = objective([summary.text for summary in Oracle().summarize(sources, references)])
        for row, source in enumerate(sources):
            sentences = split_sentences(source)
            singles = rouge(sentences, [references[row]] * len(sentences), ["rouge1", "rouge2"]).values
            assert bound[row] >= (singles["rouge1"][:, 2] + singles["rouge2"][:, 2]).max() - 1e-9
        for system in (LeadN(1), LeadN(3), RandomN(1), TextRank(1), TextRank(3)):
            assert objective([summary.text for summary in system.summarize(sources)]).mean() < 0.7 * bound.mean()
