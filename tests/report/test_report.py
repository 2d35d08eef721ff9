"""The report: rebuilt from records, the same in Markdown and HTML, and pages that ask nobody for anything."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.screenshot import open_browser
from trainer.data.splits import Example
from trainer.eval import main
from trainer.metrics.error_classes import CLASSES, content_recall, errors, repeats
from trainer.report.plots import DARK, LIGHT, standalone, svg
from trainer.report.qualitative import Shown, choose, marked, marked_summary, shown
from trainer.report.report import examples_page, report_page
from trainer.report.sections import Plot, markdown, printed, sections
from trainer.report.tables import Table, cited_table, interval, markdown_table, score_table
from trainer.scoring.audit import AUDIT, audit_name, search_name
from trainer.scoring.cited import cited_rows
from trainer.scoring.ledger import Ledger, Spool, append_lines
from trainer.scoring.records import Metric, Results
from trainer.settings.base import ROOT

RECORDS = ROOT / "trainer" / "records" / "eval"
SMOKE = ROOT / "trainer" / "recipes" / "smoke"


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """A finished evaluation of three baselines on 28 made-up articles that count as XSum's, so that rows are cited."""
    folder = tmp_path_factory.mktemp("report") / "out"
    argv = ["--systems", "lead-1,lead-3,random,oracle", "--test_file", str(SMOKE / "train.jsonl"), "--cited", "xsum"]
    argv += ["--output_dir", str(folder), "--bootstrap_samples", "100", "--test_samples", "200", "--examples", "3"]
    assert main(argv) == 0
    return folder


@pytest.fixture(scope="module")
def results(out) -> Results:
    return Results.load(out / "results.json")


def pictures(results: Results) -> dict[str, str]:
    names = [part.name for section in sections(results) for part in section.parts if isinstance(part, Plot)]
    return {name: svg(name, results) for name in names}


class TestRebuilt:
    def test_everything_shown_comes_from_the_record(self, out, results):
        assert (out / "report.md").read_text("utf-8") == markdown(results)
        found = pictures(results)
        assert set(found) == {"scores", "slices", "errors"}
        for name, picture in found.items():
            assert (out / "plots" / f"{name}.svg").read_text("utf-8") == standalone(picture) + "\n"
        assert (out / "report.html").read_text("utf-8") == report_page(results, found)

    @pytest.mark.parametrize(
        "record",
        sorted([*RECORDS.glob("*.json"), *RECORDS.parent.glob("audit.json")]) or [None],
        ids=lambda path: path and path.stem,
    )
    def test_shipped_reports_are_those_of_the_shipped_records(self, record):
        """trainer/records/eval/NAME.json with NAME.md and its pictures in NAME beside it: what the project shows."""
        if record is None:
            pytest.skip("no evaluation has been committed yet")
        results = Results.load(record)
        assert record.with_suffix(".md").read_text("utf-8") == markdown(results, plots=record.stem)
        for name in pictures(results):
            assert (record.with_suffix("") / f"{name}.svg").is_file()

    @pytest.mark.parametrize("record", sorted(RECORDS.glob("*.json")) or [None], ids=lambda path: path and path.stem)
    def test_readme_shows_the_shipped_records(self, record):
        if record is None:
            pytest.skip("no evaluation has been committed yet")
        assert markdown_table(score_table(Results.load(record))) in (ROOT / "README.md").read_text("utf-8")

    def test_a_figure_that_changes_changes_the_report(self, results):
        one = results.evaluations[0]
        metrics = one.metrics | {"rouge1_fmeasure": Metric(0.98765, 0.9, 0.99, 28, "x")}
        changed = replace(results, evaluations=[replace(one, metrics=metrics), *results.evaluations[1:]])
        assert "98.77 [90.00, 99.00]" in markdown(changed)
        assert svg("scores", changed) != svg("scores", results)

    def test_a_record_without_analysis_has_a_report(self, results):
        bare = Results(evaluations=results.evaluations[:1])
        assert "Is the difference real?" not in markdown(bare)
        assert printed(bare).startswith("System")


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


class TestTables:
    def test_markdown(self):
        table = Table(["a|b", "n", "Where"], [["x", "1.00 [0.50, 2.00]", "here"]], after=1)
        assert markdown_table(table) == "| a\\|b | n | Where |\n| --- | ---: | --- |\n| x | 1.00 [0.50, 2.00] | here |"

    def test_intervals(self):
        assert interval([0.1234, 0.1, 0.15]) == "12.34 [10.00, 15.00]"
        assert interval([-0.01, -0.02, 0.0], sign="+") == "-1.00 [-2.00, +0.00]"
        assert interval([None, None, None]) == "–"

    def test_verdicts_and_warnings_are_printed(self, results):
        text = printed(results)
        assert "Take care: Only 28 examples" in text
        assert all(one["verdict"] in text for one in results.analysis["comparisons"] if "rouge1" in one["metric"])


class Tags(HTMLParser):
    """Every tag closed, and no address but of the page's own files."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.links: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.links |= {value for name, value in attrs if name in ("href", "src") and value}
        if tag not in ("meta", "link", "input", "br", "path", "use") or tag in ("use",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links |= {value for name, value in attrs if name in ("href", "src", "xlink:href") and value}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


class TestPages:
    @pytest.mark.parametrize("name", ["report.html", "examples.html"])
    def test_they_are_whole_and_ask_nobody(self, out, name):
        page = (out / name).read_text("utf-8")
        tags = Tags(page)
        assert tags.open == []
        others = {link for link in tags.links if not link.startswith(("#", "data:,"))}
        assert others <= {"report.html", "examples.html"}
        assert not re.search(r"@import|url\((?!#)", page)
        assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }

    def test_plots_take_their_colours_from_the_page(self, results):
        assert LIGHT.keys() == DARK.keys()
        for picture in pictures(results).values():
            assert not re.findall(r"#[0-9a-fA-F]{6}\b", picture)
            assert set(re.findall(r"var\((--[\w]+)\)", picture)) <= LIGHT.keys()
            assert "system-ui" in picture and "DejaVu" not in picture

    def test_texts_of_strangers_are_escaped(self, results):
        nasty = [("<script>alert(1)</script>", "shared")]
        one = Shown("<b>sys", 0, "\"'><img src=x>", ("best",), ("cut",), 0.5, nasty, nasty, nasty, 3)
        page = examples_page(results, [one])
        assert "<script>alert" not in page and "<img" not in page and "<b>sys" not in page
        assert "&lt;script&gt;alert(1)" in page
        bad = replace(results, analysis=results.analysis | {"failed": [{"system": "<i>x", "reason": "<u>y</u>"}]})
        assert "<i>x" not in report_page(bad, pictures(results)) and "&lt;i&gt;x" in report_page(bad, pictures(results))

    @pytest.mark.browser
    def test_in_chromium(self, out):
        """Both pages open, in light and dark, without an error or a request; the filters filter."""
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = open_browser(playwright)
            if browser is None:
                pytest.skip("needs Debian's chromium, which is not installed here")
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme=scheme)
                faults: list[str] = []
                page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
                page.on("request", lambda asked, asked_for=faults: asked_for.append(asked.url))
                page.goto((out / "report.html").as_uri())
                dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (dark == "rgb(17, 19, 21)") == (scheme == "dark")
                assert page.locator("figure svg").count() == 3
                ink = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
                assert ink != "rgb(0, 0, 0)"
                # Nothing sticks out of the page; wide tables scroll within their own box.
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                page.click("nav a[href='examples.html']")
                page.wait_for_url("**/examples.html")  # else a busy machine counts articles on the page left behind
                shown = page.locator("article:visible")
                everything = shown.count()
                page.select_option("[name=system]", "lead-3")
                page.select_option("[name=group]", "worst")
                assert shown.count() == 3 < everything
                assert page.locator("output").inner_text() == f"3 of {everything}"
                page.fill("[name=words]", "no text has this word zyx")
                assert shown.count() == 0
                assert {url for url in faults if not url.startswith(("file:", "data:"))} == set()
                page.close()
            browser.close()


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


class TestExamples:
    def test_spans_are_the_text(self):
        for text in ("", "A café in Hull, twelve 12,000!", "  odd  spaces\n", "日本語 text"):
            assert "".join(span for span, _ in marked(text, {"hull"}, "x")) == text
            assert "".join(span for span, _ in marked_summary(text, "Hull", "twelve")) == text

    def test_marks(self):
        spans = marked_summary(
            "The council buys boats from Bob Vell quickly.", "Council bought.", "Boats for the council."
        )
        marks = {text: mark for text, mark in spans if mark}
        assert marks == {
            "council": "shared", "buys": "new", "boats": "used", "Bob": "invented", "Vell": "invented",
            "quickly": "new",
        }  # fmt: skip

    def test_best_worst_and_each_class(self):
        values = {
            "rouge1_fmeasure": np.array([0.1, 0.9, np.nan, 0.5, 0.3]),
            "invented_share": np.array([0.0, 1.0, 0.0, 1.0, 0.0]),
        }
        rows = choose(values, "rouge1_fmeasure", 2, seed=0)
        groups = {name: {row for row, names in rows.items() if name in names} for name in ("best", "worst", "invented")}
        assert groups == {"best": {1, 3}, "worst": {0, 2}, "invented": {1, 3}}
        assert sum("drawn" in names for names in rows.values()) == 2
        assert rows == choose(values, "rouge1_fmeasure", 2, seed=0)
        assert len(choose(values, "rouge1_fmeasure", 99, seed=0)) == 5

    def test_texts_are_read_from_the_disk(self, tmp_path):
        spool = Spool.create(tmp_path / "s")
        for number in range(4):
            spool.append(Example(f"id{number}", f"Article {number} " + "x" * 5000, f"Reference {number}"))
        append_lines(
            tmp_path / "p",
            [
                {"system": "s", "row": n, "id": f"id{n}", "prediction": f"P {n}", "reference": f"R {n}"}
                for n in range(4)
            ],
        )
        ledger = Ledger(4)
        ledger.scan([tmp_path / "p"])
        values = {"rouge1_fmeasure": np.array([0.0, 0.3, 0.2, 0.1]), "empty_share": np.array([1.0, 0, 0, 0])}
        found = shown("s", values, "rouge1_fmeasure", 1, 0, ledger, spool)
        best = next(one for one in found if "best" in one.groups)
        assert (best.id, best.score, best.errors) == ("id1", 0.3, ())
        assert "".join(text for text, _ in best.summary) == "P 1" and best.cut == 5010 - 4000
        worst = next(one for one in found if "worst" in one.groups)
        assert worst.errors == ("empty",) and set(worst.groups) >= {"worst", "empty"}

    def test_every_class_is_a_figure_that_some_metric_has(self, results):
        assert all(figure in results.evaluations[0].metrics for _, figure in CLASSES.values())


def test_the_audit_is_the_grid_of_the_issue():
    assert len(AUDIT) == 15 and len({audit_name("m", way) for way in AUDIT}) == 15
    assert search_name({"num_beams": 4, "length_penalty": 2.0}) == "beam 4, length penalty 2"
    assert search_name({"num_beams": 1}) == "greedy" and search_name({"do_sample": True}) == "sampled"
