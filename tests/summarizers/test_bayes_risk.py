"""Of many summaries the one most like the others."""

import json

import numpy as np
import pytest

from tests.summarizers.texts import ARTICLES
from trainer.errors import UserError
from trainer.metrics.rouge import rouge
from trainer.summarizers.bayes_risk import MinimumBayesRisk
from trainer.summarizers.extractive import LeadN
from trainer.summarizers.systems import parse_system


class Says:
    """A system that gives the same summaries of any article."""

    def __init__(self, *texts):
        self.texts = texts

    def candidates(self, sources):
        summary = LeadN(1).summarize(["x"])[0]
        return [[summary.__class__(text, None, 1, 1) for text in self.texts] for _ in sources]


class TestMinimumBayesRisk:
    def test_by_hand(self):
        """The first two share three words of 3 and 4, so F1 = 2·3/7; nothing is shared with the third."""
        system = MinimumBayesRisk(
            [Says("storm sank boats", "storm sank boats ships", "mayor left")], utility=["rouge1"]
        )
        assert system.expected(["storm sank boats", "storm sank boats ships", "mayor left"]) == pytest.approx(
            [(6 / 7 + 0) / 2, (6 / 7 + 0) / 2, 0]
        )
        # A fourth one is nearer to the second: 2·2/(4+2) = 2/3 against 2·1/(3+2) = 2/5.
        more = MinimumBayesRisk(
            [Says("storm sank boats", "storm sank boats ships"), Says("mayor left", "storm ships")], utility=["rouge1"]
        )
        assert more.summarize(["x"])[0].text == "storm sank boats ships"

    def test_ties_go_to_the_first(self):
        assert MinimumBayesRisk([Says("one two", "two one")], utility=["rouge1"]).summarize(["x"])[0].text == "one two"
        assert MinimumBayesRisk([Says("b"), Says("a")]).summarize(["x"])[0].text == "b"
        assert MinimumBayesRisk([Says("", "")]).summarize(["x"])[0].text == ""

    def test_copies_support_each_other(self):
        assert MinimumBayesRisk([Says("rare words", "same", "same")]).summarize(["x"])[0].text == "same"

    def test_it_is_what_all_pairs_say(self):
        """Against a plain double loop, over real sentences."""
        texts = [text.rstrip(".") for text in ARTICLES[3].split(", ")] + [ARTICLES[0], ARTICLES[3], ARTICLES[0]]
        system = MinimumBayesRisk([Says(*texts)])
        for row, text in enumerate(texts):
            others = [other for place, other in enumerate(texts) if place != row]
            found = rouge([text] * len(others), others)
            mean = np.mean([found.mean("rouge1"), found.mean("rouge2"), found.mean("rougeL")])
            assert system.expected(texts)[row] == pytest.approx(mean)

    def test_across_any_systems(self, folders):
        spec = f"mbr:lead-1+random-1+{folders['bart']}"
        system = parse_system(spec, seed=4, generation={"max_new_tokens": 5})
        source = ARTICLES[0]
        assert system.summarize([source])[0].text in source  # two sentences of it agree more than noise does
        about = system.describe()
        assert (about["system"], about["seed"], about["number_format"]) == (spec, 4, "fp32")
        assert [part["system"] for part in about["decoding"]["candidates"]] == [
            "lead-1",
            "random-1",
            str(folders["bart"]),
        ]
        json.dumps(about)
        with pytest.raises(UserError, match="at least one"):
            MinimumBayesRisk([])

    def test_the_best_of_a_beam_or_samples_of_one_model(self, folders):
        beams = parse_system(f"mbr:{folders['bart']}*4", generation={"max_new_tokens": 8})
        (model,) = beams.systems
        assert (model.decoding()["num_beams"], model.decoding()["candidates"]) == (4, 4)
        found = model.candidates(ARTICLES[:2])
        assert [len(set(one.text for one in group)) for group in found] == [4, 4]
        plain = parse_system(str(folders["bart"]), generation={"max_new_tokens": 8, "num_beams": 4})
        assert [group[0].text for group in found] == [one.text for one in plain.summarize(ARTICLES[:2])]
        chosen = beams.summarize(ARTICLES[:2])
        assert all(
            one.text in [candidate.text for candidate in group] for one, group in zip(chosen, found, strict=True)
        )
        sampling = {"max_new_tokens": 8, "do_sample": True, "top_k": 0}
        samples = parse_system(f"mbr:{folders['t5']}*5", generation=sampling, seed=1)
        (model,) = samples.systems
        assert model.generation.num_beams == 1
        assert samples.summarize(ARTICLES) == samples.summarize(ARTICLES)
        assert len({one.text for one in model.candidates(ARTICLES[:1])[0]}) == 5
