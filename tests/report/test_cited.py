"""Published figures stand apart from measured ones."""

from trainer.report.sections import markdown
from trainer.report.tables import cited_table
from trainer.scoring.cited import cited_rows


class TestCited:
    def test_they_stand_apart(self, results):
        table = cited_table(results)
        assert len(table.rows) == 12 and table.head[-3:] == ["Split", "Source", "Tool"]
        brio = next(row for row in table.rows if row[0] == "BRIO")
        assert brio[1:4] == ["49.07", "25.59", "40.40"] and "Liu et al. 2022" in brio
        assert all(row["source"] and row["split"] and row["tool"] for row in results.analysis["cited"])
        names = {one[key] for one in results.analysis["comparisons"] for key in ("system", "baseline")}
        assert names == {"lead-1", "lead-3", "random-1"}
        assert "BRIO" not in {one.system for one in results.evaluations}
        assert "**Cited, not measured here.**" in markdown(results)

    def test_by_the_name_of_the_data(self):
        assert cited_rows("auto", "EdinburghNLP/xsum") == cited_rows("xsum", "") != []
        assert cited_rows("auto", "xsum/test.jsonl") == cited_rows("xsum", "")
        assert cited_rows("auto", "mine/pairs.jsonl") == cited_rows("none", "EdinburghNLP/xsum") == []
