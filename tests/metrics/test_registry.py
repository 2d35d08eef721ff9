"""What a metric declares is what it gives."""

import pytest

from trainer.metrics.base import same_number
from trainer.metrics.registry import METRIC_NAMES, METRICS, metrics_of

TEXTS = ["The cat sat on the mat in May.", "A dog ran.", ""]
OTHERS = ["The cat sat on a mat.", "Two dogs ran off.", "Nobody knew."]
SOURCES = ["A cat sat there.", "The dogs of Ellery ran.", "Nobody knew why it was."]


@pytest.mark.parametrize("name", METRICS)
def test_it_gives_the_figures_that_it_declares(name):
    metric = METRICS[name]
    assert metric.name == name and name in METRIC_NAMES
    assert set(metric.score(TEXTS, OTHERS, SOURCES)) == set(metric.figures)
    figures = metric(TEXTS, OTHERS, SOURCES)
    assert list(figures) == list(metric.figures)
    for figure, kind in metric.figures.items():
        assert figures[figure].signature == kind.signature and len(figures[figure].per_example) == 3


@pytest.mark.parametrize("name", METRICS)
def test_it_reads_what_it_says_and_nothing_else(name):
    """Other texts where it says that it does not look change no figure; a list too short where it looks is refused."""
    metric = METRICS[name]
    texts = {"references": OTHERS, "sources": SOURCES}
    values = {key: one.per_example.tolist() for key, one in metric(TEXTS, **texts).items()}
    for kind in texts:
        changed = texts | {kind: ["zzz"] * 3}
        if kind in metric.needs:
            with pytest.raises(ValueError, match="as many of each"):
                metric(TEXTS, **(texts | {kind: ["zzz"]}))
        else:
            again = {key: one.per_example.tolist() for key, one in metric(TEXTS, **changed).items()}
            assert str(again) == str(values)
    assert same_number(predictions=TEXTS, sources=SOURCES) == 3


def test_they_come_in_the_order_asked_for():
    assert [metric.name for metric in metrics_of(["aboutness", "rouge", "bleu"])] == ["aboutness", "rouge", "bleu"]


def test_without_a_name_the_encoder_is_the_one_that_is_here():
    (metric,) = metrics_of(["embedding"])
    assert "|encoder:" in metric.figures["embedding_similarity"].signature
