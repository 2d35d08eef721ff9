"""The report's tables."""

from trainer.report.sections import printed
from trainer.report.tables import Table, markdown_table


class TestTables:
    def test_markdown(self):
        table = Table(["a|b", "n", "Where"], [["x", "1.00 [0.50, 2.00]", "here"]], after=1)
        assert markdown_table(table) == "| a\\|b | n | Where |\n| --- | ---: | --- |\n| x | 1.00 [0.50, 2.00] | here |"

    def test_verdicts_and_warnings_are_printed(self, results):
        text = printed(results)
        assert "Take care: Only 28 examples" in text
        assert all(one["verdict"] in text for one in results.analysis["comparisons"] if "rouge1" in one["metric"])
