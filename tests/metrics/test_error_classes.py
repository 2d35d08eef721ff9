"""Classes of error by rule."""

from trainer.metrics.error_classes import content_recall, errors, repeats


class TestErrors:
    def test_each_class_by_hand(self):
        source = "The council of Hull met on Monday. Twelve boats will be bought. Ann Orm signed."
        reference = "Hull buys twelve boats after council vote."
        predictions = [
            "Hull council to buy boats.",
            "People talked.",  # none of the reference's content words
            "Hull's boats cost £900 and Bob Vell paid.",
            "Hull buys boats. Hull buys boats. Hull buys boats.",
            "boats " * 20,
        ]
        figures = errors(predictions, [reference] * 5, [source] * 5)
        assert figures["missing_point_share"].per_example.tolist() == [0, 1, 0, 0, 1]
        assert figures["invented_share"].per_example.tolist() == [0, 0, 1, 0, 0]
        assert figures["repeated_share"].per_example.tolist() == [0, 0, 0, 1, 1]
        assert figures["overlong_share"].per_example.tolist() == [0, 0, 0, 0, 1]

    def test_recall_counts_stems_of_content_words(self):
        assert content_recall("councils were buying", "The council buys a boat") == 2 / 3
        assert content_recall("anything", "of the and") is None
        assert errors(["x"], ["of the"], ["y"])["missing_point_share"].n == 0

    def test_repetition(self):
        assert not repeats("One thing. Another thing.") and not repeats("")
        assert repeats("It rained all day. It rained all day.")

    def test_empty(self):
        figures = errors([""], ["Hull buys boats"], ["Hull."])
        assert {name: figure.value for name, figure in figures.items()} == {
            "missing_point_share": 1.0,
            "invented_share": 0.0,
            "repeated_share": 0.0,
            "overlong_share": 0.0,
        }
