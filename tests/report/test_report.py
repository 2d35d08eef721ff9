"""The report: rebuilt from records, the same in Markdown and HTML, and pages that ask nobody for anything."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.screenshot import open_browser
from trainer.report.benchmarks import (
    attribution_sentence,
    decoding_table,
    first_token_sentence,
    lengths_drawing,
    lengths_sentence,
    quality_sentence,
    serving_sentence,
    start_sentence,
    training_sentence,
    waiting_sentence,
)
from trainer.report.plots import DARK, LIGHT, standalone, svg
from trainer.report.qualitative import Shown
from trainer.report.report import examples_page, report_page
from trainer.report.sections import Plot, markdown, printed, sections
from trainer.report.tables import markdown_table, score_table
from trainer.scoring.records import FigureRecord, Results
from trainer.settings.base import ROOT

RECORDS = ROOT / "trainer" / "records" / "eval"


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

    def test_readme_shows_the_shipped_record_of_xsum(self):
        record = RECORDS / "xsum.json"
        assert markdown_table(score_table(Results.load(record))) in (ROOT / "README.md").read_text("utf-8")

    def test_readme_shows_the_shipped_record_of_decoding_speeds(self):
        record = json.loads((RECORDS.parent / "bench" / "decoding.json").read_text("utf-8"))
        readme = (ROOT / "README.md").read_text("utf-8")
        assert markdown_table(decoding_table(record)) in readme
        for sentence in (first_token_sentence(record), quality_sentence(record)):
            assert sentence in " ".join(readme.split())
        for run in record["runs"]:
            assert {"processor", "threads", "versions", "commit", "command"} <= run.keys()
            if "first_token" in run:
                assert run["times_the_encoder"] == pytest.approx(run["first_token"] / run["encoder"], rel=0.01)
                continue
            assert run["engines"]["ours fp32"]["same_tokens"] == 1.0
            base = run["engines"]["transformers fp32"]["seconds"]
            for engine in run["engines"].values():
                assert engine["fastest"] <= engine["seconds"] <= engine["slowest"]
                assert engine["times_transformers"] == pytest.approx(base / engine["seconds"], rel=0.01)

    def test_readme_says_what_the_shipped_records_of_serving_and_start_do(self):
        records = {
            name: json.loads((RECORDS.parent / "bench" / f"{name}.json").read_text("utf-8"))
            for name in ("serving", "serving-50", "waiting", "start", "lengths", "training", "attribution")
        }
        readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
        assert serving_sentence(records["serving"], records["serving-50"]) in readme
        assert waiting_sentence(records["waiting"]) in readme
        assert start_sentence(records["start"]) in readme
        assert attribution_sentence(records["attribution"]) in readme
        assert lengths_sentence(records["lengths"]) in readme
        assert training_sentence(records["training"]) in readme
        plot = RECORDS.parent / "bench" / "lengths.svg"
        assert plot.read_text("utf-8") == lengths_drawing(records["lengths"]) + "\n"
        rounds = [one for name in ("serving", "serving-50") for one in records[name]["B"]["rounds"]]
        assert all(one["errors"] == one["different_alone"] == 0 and one["asked_again_alone"] > 0 for one in rounds)

    def test_a_figure_that_changes_changes_the_report(self, results):
        one = results.evaluations[0]
        metrics = one.metrics | {"rouge1_fmeasure": FigureRecord(0.98765, 0.9, 0.99, 28, "x")}
        changed = replace(results, evaluations=[replace(one, metrics=metrics), *results.evaluations[1:]])
        assert "98.77 [90.00, 99.00]" in markdown(changed)
        assert svg("scores", changed) != svg("scores", results)

    def test_a_record_without_analysis_has_a_report(self, results):
        bare = Results(evaluations=results.evaluations[:1])
        assert "Is the difference real?" not in markdown(bare)
        assert printed(bare).startswith("System")


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
