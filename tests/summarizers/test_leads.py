"""The test for a lead: its features by hand, its probability by hand, and what the fitted one says of plain cases."""

import math

import pytest

from trainer.data.sentences import split_sentences
from trainer.summarizers.choice import centralities, fitted
from trainer.summarizers.leads import LeadTest, lead_features

NEWS = (
    "A landslip has blocked the only railway line into Ellery, leaving about 900 people without a train. "
    "Engineers said on Monday that the line would stay closed until a retaining wall was rebuilt. "
    "The railway company will run buses to Ellery until then. People in Ellery say that the buses are late."
)
CUT = NEWS.partition(". ")[2]


def features(text: str) -> dict[str, float]:
    sentences = split_sentences(text)
    return lead_features(sentences, centralities(sentences))


def test_the_features_by_hand():
    text = "But he, Mr Orm, 45, was on the boat. The boat sank near Dover in the rain. Nobody on the boat was hurt."
    # Without its "But" the sentence has 8 words; of its content words "boat" comes again.
    found = features(text)
    assert found.pop("centrality") == pytest.approx(centralities(split_sentences(text))[0])
    assert found == {
        "log_sentences": pytest.approx(math.log(3)),
        "words": 8,
        "log_words": pytest.approx(math.log(9)),
        "content_words": 4,  # mr, orm, 45, boat
        "log_words_of_second": pytest.approx(math.log(9)),
        "share_repeated": pytest.approx(1 / 4),
        "share_repeated_soon": pytest.approx(1 / 4),
        "says_has": 0,
        "says_was": 1,
        "begins_with_pronoun": 1,
        "second_begins_with_pronoun": 0,
        "begins_with_the": 0,
        "second_begins_with_the": 1,
        "names_a_weekday": 0,
        "names_an_age": 1,
        "names_by_title": 1,
        "commas": 3,
    }


def test_the_probability_by_hand():
    test = LeadTest({"commas": 2.0, "says_has": -1.0}, intercept=0.5, threshold=0.7)
    assert test.probability({"commas": 1.0, "says_has": 1.0}) == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert test.probability({"commas": 1000.0, "says_has": 0.0}) == pytest.approx(1)
    assert test.probability({"commas": -1000.0, "says_has": 0.0}) == pytest.approx(0)


def test_from_the_threshold_on_it_is_passed():
    sentences, central = split_sentences(NEWS), centralities(split_sentences(NEWS))
    names = lead_features(sentences, central)
    probability = fitted().lead_test.probability(names)
    for threshold, passed in ((probability, True), (probability + 1e-9, False)):
        test = LeadTest(fitted().lead_test.weights, fitted().lead_test.intercept, threshold)
        assert test.passed(sentences, central) is passed
    assert test.passed(sentences[:1], central[:1]) and test.passed([], [])


def test_the_fitted_test_tells_a_lead_from_what_follows_it():
    for text, passed in ((NEWS, True), (CUT, False)):
        sentences = split_sentences(text)
        assert fitted().lead_test.passed(sentences, centralities(sentences)) is passed
