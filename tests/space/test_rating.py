"""Raters: who gets which two summaries, blind, and what is saved; and the page /rate in a real Chromium."""

import json
from collections import Counter

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

import app
from space import page
from space.rating import Desk
from space.serving import Serving
from tests.screenshot import open_browser
from tests.tiny import save_tiny_t5
from trainer.errors import UserError
from trainer.ratings.log import QUESTIONS, read_ratings

PATIENT = 120_000  # milliseconds; other tests may share the processors
GRADES = dict.fromkeys(QUESTIONS, (4, 2))
SYSTEMS = ("zorn-alpha", "zorn-beta", "zorn-gamma")
NASTY = "The <b>mill</b> burnt &amp; fell. <script>window.ran = 1</script>"


@pytest.fixture
def articles(tmp_path):
    """Six articles; the first two systems wrote the same about the first."""
    path = tmp_path / "articles.jsonl"
    rows = [
        {
            "id": str(n),
            "article": f"{NASTY}\nArticle number {n}.",
            "summaries": {system: f"Summary {n} of kind {kind}." for kind, system in enumerate(SYSTEMS)},
            "reference": f"Reference {n}.",
        }
        for n in range(6)
    ]
    rows[0]["summaries"][SYSTEMS[1]] = rows[0]["summaries"][SYSTEMS[0]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_pair_comes_once_and_every_article_before_any_comes_again(articles):
    desk = Desk(articles)
    seen = []
    while (now := desk.next(" Ada  L ")) is not None:
        assert desk.next("Ada L") == now  # until it is answered
        assert (now.done, now.total) == (len(seen), 3 * 5 + 2)
        seen.append((now.article.id, frozenset(now.systems)))
        assert len(set(now.texts)) == 2
        assert desk.save("Ada L", now, "first", GRADES)
        assert not desk.save("Ada L", now, "second", GRADES)  # pressed twice
    assert len(seen) == len(set(seen)) == 17
    assert len({article for article, _ in seen[:6]}) == 6
    saved, broken = read_ratings(desk.log.path)
    assert desk.log.path == articles.with_suffix(".ratings.jsonl") and len(saved) == 17 and not broken
    assert {one.rater for one in saved} == {"Ada L"} and saved[0].reference.startswith("Reference")
    # The same after a new start, and another rater gets the same ones in the same order.
    anew = Desk(articles)
    assert anew.next("Ada L") is None
    first = anew.next("Bo")
    assert (first.article.id, frozenset(first.systems)) == seen[0]


def test_which_one_is_a_is_drawn(articles):
    desk = Desk(articles)
    first = Counter(desk.next(f"rater {number}").systems[0] for number in range(200))
    assert len(first) == 2 and min(first.values()) > 60  # 100 and 7 expected; 60 is 5.7 standard deviations away


def test_what_was_said_belongs_to_what_was_shown(articles):
    desk = Desk(articles)
    now = desk.next("Ada")
    desk.save("Ada", now, "second", {"faithfulness": (1, 2), "fluency": (3, 4), "relevance": (5, 1)})
    (saved,), _ = read_ratings(desk.log.path)
    assert (saved.first.system, saved.second.system) == now.systems and saved.preference == "second"
    assert (saved.first.summary, saved.second.summary) == now.texts
    assert [(side.faithfulness, side.fluency, side.relevance) for side in (saved.first, saved.second)] == [
        (1, 3, 5),
        (2, 4, 1),
    ]


def test_what_is_left_out_is_named_and_nothing_is_saved(articles):
    desk = Desk(articles)
    now = desk.next("Ada")
    with pytest.raises(UserError, match="please answer which one is better and fluency"):
        desk.save("Ada", now, None, GRADES | {"fluency": (4, None)})
    with pytest.raises(UserError, match="please answer relevance"):
        desk.save("Ada", now, "tie", GRADES | {"relevance": (6, 1)})
    for name in ("", "  ", "x" * 81):
        with pytest.raises(UserError, match="name"):
            desk.next(name)
    assert not desk.log.path.exists() and desk.next("Ada") == now


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    model = str(save_tiny_t5(tmp_path / "tiny-t5"))
    assert app.main(["--model", model, "--rate", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl is neither a .jsonl file nor a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        app.main(["--model", model, "--rate_dataset", "ada/ratings"])
    assert "--rate_dataset: what it keeps comes from --rate" in capsys.readouterr().err


@pytest.fixture
def url(articles, tmp_path):
    """The page, launched as app.py launches it; no model is loaded, which nobody here asks."""
    demo = page.build(Serving(str(tmp_path)), (), Desk(articles))
    demo.launch(prevent_thread_lock=True, quiet=True, **page.launch_options())
    yield demo.local_url
    demo.close()


@pytest.mark.browser
def test_two_raters_in_the_browser(articles, url):
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        if browser is None:
            pytest.skip("needs Debian's chromium, which is not installed here")
        expect.set_options(timeout=PATIENT)
        _rate_wide(browser, url)
        _rate_narrow(browser, url)
        browser.close()
    saved, broken = read_ratings(articles.with_suffix(".ratings.jsonl"))
    assert [one.rater for one in saved] == ["Ada", "Ada", "Bo"] and not broken
    assert saved[0].preference == "first" and saved[1].preference == "tie"
    assert saved[0].first.faithfulness == 5 and saved[0].second.relevance == 1
    assert saved[0].pair == saved[2].pair != saved[1].pair


def _open(browser, url: str, width: int):
    tab = browser.new_page(viewport={"width": width, "height": 844})
    tab.set_default_timeout(PATIENT)
    tab.bodies, tab.faults = [], []
    tab.on("response", lambda response: tab.bodies.append(response))
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("console", lambda message: tab.faults.append(message.text) if message.type == "error" else None)
    tab.goto(url)
    return tab


def _choose(tab, question: str, answer: str) -> None:
    tab.get_by_role("group", name=question).get_by_label(answer, exact=True).check()


def _grade(tab, a: str, b: str) -> None:
    for question in QUESTIONS:
        for letter, grade in (("A", a), ("B", b)):
            _choose(tab, f"{question.capitalize()} of {letter}", grade)


def _rate_wide(browser, url: str) -> None:
    tab = _open(browser, f"{url}rate", 1280)
    tab.get_by_role("button", name="Begin").click()
    expect(tab.get_by_role("alert")).to_contain_text("Please give a name")
    tab.get_by_label("Your name or initials").fill("Ada")
    tab.keyboard.press("Enter")
    heading = tab.get_by_role("heading", name="Comparison 1 of 17")
    expect(heading).to_be_focused()
    assert NASTY in tab.locator("#rated .article").inner_text() and tab.evaluate("window.ran") is None
    _choose(tab, "Which summary is better?", "A is better")
    tab.get_by_role("button", name="Save").click()
    problem = tab.get_by_role("alert")
    expect(problem).to_have_text("Not saved yet: please answer faithfulness, fluency and relevance.")
    expect(problem).to_be_focused()
    _grade(tab, "5", "1")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("heading", name="Comparison 2 of 17")).to_be_focused()
    expect(tab.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert tab.locator("#rated input:checked").count() == 0
    assert _violations(tab) == []

    # By keyboard alone: each group is one stop, and arrows go from one choice to the next.
    tab.locator("#rated .article").focus()
    for _ in range(7):
        tab.keyboard.press("Tab")
        tab.keyboard.press("Space")
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowDown")
    chosen = tab.locator("#rated input:checked").evaluate_all("all => all.map((one) => one.value)")
    assert chosen == ["3"] * 6 + ["tie"]
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "rate-save"
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Comparison 3 of 17")).to_be_focused()

    bodies = [body for response in tab.bodies if (body := _body(response))]
    assert sum(b"Summary" in body for body in bodies) and not any(b"zorn" in body for body in bodies)
    assert "zorn" not in tab.content() and tab.faults == []
    tab.close()


def _rate_narrow(browser, url: str) -> None:
    tab = _open(browser, url, 390)
    tab.get_by_role("link", name="Rate summaries").click()
    tab.get_by_label("Your name or initials").fill("Bo")
    tab.faults.clear()  # of the first page, which was left while it loaded
    tab.get_by_role("button", name="Begin").click()
    expect(tab.get_by_role("heading", name="Comparison 1 of 17")).to_be_visible()
    for width in (390, 320):
        tab.set_viewport_size({"width": width, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    targets = tab.locator("#rated label, #rating button, nav a")
    sizes = [targets.nth(number).bounding_box() for number in range(targets.count())]
    assert len(sizes) >= 3 + 6 * 5 + 1 and all(min(box["width"], box["height"]) >= 24 for box in sizes if box)
    assert _violations(tab) == []
    _choose(tab, "Which summary is better?", "B is better")
    _grade(tab, "2", "3")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("heading", name="Comparison 2 of 17")).to_be_visible()
    assert tab.faults == []
    tab.close()


def _body(response) -> bytes:
    """What came; of a stream that never ends, and of what the browser had already, nothing."""
    if "event-stream" in response.headers.get("content-type", "") or response.status != 200:
        return b""
    return response.body()


def _violations(tab) -> list:
    found = Axe().run(tab, options={"rules": {"target-size": {"enabled": True}}}).response["violations"]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
