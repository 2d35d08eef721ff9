"""The page in a real Chromium, as a visitor sees it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from space.answering import examples
from tests.screenshot import open_browser
from tests.server import Server
from tests.space.pages import ARTICLES

pytestmark = pytest.mark.browser

PATIENT = 300_000  # milliseconds; other tests may share the processors
NASTY = (
    "Engineers lifted the lantern & its <b>frame</b>.\n\n"
    '<script>window.ran = 1</script><img src="x" onerror="window.ran = 2"> ${window.ran = 3} {{ran}}\n'
    "  Fishermen 🚢 said:\t“At last!”   \u202eOverride\u202c and مرحبا.\n"
)
# Long enough for the guards.
SHORT = " ".join(examples()[0]["article"].splitlines()[:3])
COPIED = examples()[1]["article"].replace("owls", "gulls")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENT)
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        if browser is None:
            pytest.skip("needs Debian's chromium, which is not installed here")
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, demo: Server) -> Iterator[Page]:
    """A newly opened page, wide; whatever it asks for and whatever fails in it is kept in `page.asked`, `.faults`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.asked, page.faults = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.goto(demo.url)
    yield page
    context.close()


def summarised(page: Page, text: str) -> None:
    """Waits until the article that is read is `text`, character for character, and its summary is there."""
    page.wait_for_function(
        """text => document.querySelector('#article .article')?.textContent === text
            && document.querySelector('#summary .summary') && !document.querySelector('.busy')""",
        arg=text,
    )


def paste(page: Page, text: str) -> None:
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Article").fill(text)


def fold(page: Page, name: str) -> None:
    page.locator(".fold > button", has_text=name).click()


def test_the_page_opens_with_an_example_that_is_already_done(page, demo):
    first = examples()[0]
    summarised(page, first["article"])
    region = page.get_by_role("region", name="Summary")
    assert region.locator(".summary").inner_text().strip()
    expect(region).to_contain_text(
        re.compile("A model (wrote this; it may be wrong|chose this sentence; it may miss the main point).")
    )
    expect(region.locator(".read")).to_have_attribute("title", re.compile(r"[\d,]+ tokens read, 0 past the limit"))
    expect(page.locator("#meter")).to_contain_text(re.compile(r"[\d,]+ words.*[\d,]+ of [\d,]+ tokens"))
    expect(page.locator(".status")).to_contain_text("tiny-t5")
    assert str(demo.log.parent) not in page.content()  # where the model lies on the server is nobody's business

    # The summary stays in view while the article scrolls.
    page.set_viewport_size({"width": 1280, "height": 500})
    page.mouse.move(300, 400)
    page.mouse.wheel(0, 600)
    page.wait_for_function("scrollY > 300")
    expect(region.locator(".summary")).to_be_in_viewport()
    page.set_viewport_size({"width": 1280, "height": 900})

    # A word tells what it did when it is pointed at.
    page.get_by_role("button", name="Influence").click()
    page.wait_for_selector("#article .w")
    word = page.locator("#article .w").nth(3)
    word.hover()
    tip = page.locator(".tip")
    expect(tip).to_be_visible()
    assert re.fullmatch(r"[+−]?\d+\.\d{3} nats", tip.inner_text())
    assert tip.inner_text().removesuffix(" nats") == word.get_attribute("data-nats")
    fold(page, "Why these words?")
    expect(page.locator(".strongest li")).to_have_count(10)

    # Nothing came from anywhere else, and the browser was told that nothing may.
    own = urlsplit(demo.url).netloc
    assert len(page.asked) > 20
    assert {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "blob:"))} == {own}
    assert "default-src 'self'" in page.request.get(demo.url).headers["content-security-policy"]
    assert page.faults == []


def test_paste_click_read(page):
    summarised(page, examples()[0]["article"])
    fold(page, "Compare")
    paste(page, NASTY)
    expect(page.locator(".older")).to_be_visible()  # what is shown is of the text before
    expect(page.get_by_role("textbox", name="Reference")).to_have_value("")  # it was another article's
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("HTML tags")
    page.get_by_role("button", name="Summarise all the same").click()
    summarised(page, NASTY)
    expect(page.locator("#live")).to_have_text(re.compile("Summary: .+"))
    expect(page.locator(".older")).to_be_hidden()
    expect(page.locator(".rouge")).to_have_count(0)  # there is no reference
    assert page.evaluate("window.ran") is None
    assert page.locator(".article :is(script, img, b)").count() == 0

    page.get_by_role("textbox", name="Reference").fill("The lantern was lifted <i>at last</i>.")
    expect(page.locator(".rouge tbody tr")).to_have_count(4)
    rows = page.locator(".rouge tbody tr")
    assert [row.split()[0] for row in rows.all_inner_texts()] == ["ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum"]
    for cell in page.locator(".rouge tbody td:not(.share)").all_inner_texts():
        assert 0 <= float(cell) <= 100
    expect(page.locator(".systems")).to_contain_text("First sentence")

    paste(page, "   ")
    page.get_by_role("button", name="Summarise", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("The article is empty")
    assert page.locator(".summary").inner_text().strip()  # the last result stays
    assert page.faults == []


def test_examples_settings_and_stop(page):
    summarised(page, examples()[0]["article"])
    second = examples()[1]
    page.get_by_role("button", name=second["title"]).click()
    summarised(page, second["article"])
    fold(page, "Compare")
    expect(page.get_by_role("textbox", name="Reference")).to_have_value(second["reference"])
    stop = page.locator("#stop")
    expect(stop).to_be_disabled()

    fold(page, "Settings")
    beams = page.get_by_label("number input for Beams")
    expect(beams).to_be_disabled()  # the model's own until that is unticked
    page.get_by_label("Decode the way").uncheck()
    expect(beams).to_be_enabled()
    for name, value in (("Beams", "2"), ("New tokens", "8"), ("Steps", "128")):
        field = page.get_by_label(f"number input for {name}")
        field.fill(value)
        field.blur()
    page.get_by_role("button", name="Summarise", exact=True).click()
    expect(page.locator(".byline")).to_contain_text("with 2 beams, at most 8 new tokens")
    expect(page.locator("#settings")).to_contain_text("Settings: yours (2 beams, 8 tokens)")
    fold(page, "Why these words?")
    page.wait_for_function("document.querySelector('#explanation .busy')")
    stop.click()
    expect(page.locator("#explanation")).to_contain_text("Stopped.")
    expect(page.locator(".byline")).to_contain_text("with 2 beams")  # what was there stays
    page.locator("#reset").click()
    expect(beams).to_be_disabled()
    assert page.faults == []


def test_a_result_is_taken_away_and_comes_back(page, browser, demo):
    summarised(page, examples()[0]["article"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#live")).to_have_text("Copied.")
    summary = page.locator("#summary .summary").text_content()
    assert page.evaluate("navigator.clipboard.readText()") == summary

    # A word of the summary shows its sources, by keyboard too.
    page.locator("#summary .sw").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#sources")).to_contain_text(f"“{summary.split()[1]}”")
    page.wait_for_selector("#article .w")

    for name, begins in (("HTML", "<!doctype html>"), ("JSON", "{")):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        assert download.value.path().read_text("utf-8").startswith(begins)

    paste(page, COPIED)
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.locator("#live")).to_have_text("Link copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    other = browser.new_page()
    asked = []
    other.on("request", lambda request: asked.append(request.url))
    other.goto(link)
    summarised(other, COPIED)
    assert len(link) > 200 and not any(link.split("#")[1][:40] in url for url in asked)
    other.close()
    assert page.faults == []


def test_pieces_show_both_ends_on_a_phone_too(browser, demo):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.goto(demo.url)
    summarised(page, examples()[0]["article"])
    # Paste and examples first, then the summary, then the article.
    tops = [page.locator(part).bounding_box()["y"] for part in ("#paste", "#examples", "#summary", "#article")]
    assert tops == sorted(tops)
    paste(page, COPIED)
    page.get_by_role("button", name="Summarise", exact=True).tap()
    summarised(page, COPIED)
    expect(page.locator("#summary .summary")).to_be_in_viewport()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_can_be_read(browser, demo, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.goto(demo.url)
    summarised(page, examples()[0]["article"])
    for one in (width, *((320, 760) if width < 760 else (761, 1920))):
        page.set_viewport_size({"width": one, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= one
    page.set_viewport_size({"width": width, "height": 844})
    wide = page.evaluate(_SIDE_BY_SIDE)
    assert wide == (width > 760)
    # WCAG 2.2 AA: 4.5 : 1 for text of this size.
    assert page.evaluate(_LOW_CONTRAST) == []
    page.get_by_role("button", name="Influence").click()
    page.wait_for_selector("#article .w")
    page.locator(".chip > summary").click()
    assert _violations(page) == []
    context.close()


def test_a_summary_is_put_to_the_test(page):
    """Every check that is folded or asked for; then the page is looked at with all of them open."""
    summarised(page, examples()[0]["article"])
    paste(page, SHORT)
    page.keyboard.press("Meta+Enter")
    summarised(page, SHORT)
    fold(page, "How sure was it?")
    words = page.locator("#summary .sw")
    expect(page.locator("#certainty tbody tr")).to_have_count(words.count())

    # Sentences are struck out by keyboard; what becomes of the summary is read out.
    page.get_by_role("button", name="Strike out").click()
    page.get_by_role("checkbox", name="Strike sentence 2 out").press("Space")
    page.get_by_role("button", name="Ask again without 1 sentence").press("Enter")
    expect(page.locator("#again")).to_contain_text("Without them the summary above is")
    expect(page.locator("#live")).to_have_text(re.compile(r"Without \d+ words the model says: .+"))
    expect(page.get_by_role("checkbox", name="Strike sentence 2 out")).to_be_checked()

    fold(page, "Try it with typos")
    page.get_by_label("number input for Letters hit wrongly").fill("20")
    expect(page.locator("#noisy tbody tr")).to_have_count(2)  # against the summary and the reference, which stays
    page.locator("#noisy summary").click()
    expect(page.locator(".noisy-article")).not_to_have_text(SHORT)

    fold(page, "Why these words?")
    expect(page.locator("#explanation .proof")).to_contain_text("random words")
    page.locator(".inner > button").click()
    for name, wanted in (
        ("Integrated gradients", False),
        ("ContextCite", False),
        ("Saliency", True),
        ("Cross-attention", True),
    ):
        page.get_by_role("checkbox", name=name).set_checked(wanted)
    page.get_by_role("combobox", name="Cross-attention: layer").click()
    page.get_by_role("option", name="Layer 2").click()
    page.get_by_role("checkbox", name="Shuffle the model’s weights too").check()
    page.get_by_role("radio", name="Another text").check()
    page.get_by_role("textbox", name="Another text").fill("The mill burnt down.")
    page.get_by_role("button", name="Compare the methods").click()
    expect(page.locator("#methods svg")).to_have_count(4)
    expect(page.locator("#methods")).to_contain_text("“The mill burnt down.”")
    expect(page.locator("#methods .sentence", has_text="ll weights shuffled")).to_have_count(2)

    # Any of them tints the article, by keyboard too; the sign of it is the pressed button.
    expect(page.get_by_role("button", name="Show in the article by Saliency", pressed=True)).to_be_visible()
    by_attention = page.get_by_role("button", name="Cross-attention, layer 2 of 2, all heads (mean)")
    by_attention.press("Enter")
    expect(page.locator("#article .article")).to_have_attribute("data-unit", " of the attention")
    expect(by_attention).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#methods [aria-pressed=true]")).to_have_count(1)
    assert _violations(page) == []
    page.get_by_role("button", name="What speaks for the summary instead?").click()
    expect(page.locator("#methods .facts")).to_be_visible()
    page.wait_for_function("!document.querySelector('.busy')")

    for media in ({"color_scheme": "dark"}, {"color_scheme": "light"}, {"forced_colors": "active"}):
        page.emulate_media(**media)
        page.wait_for_function(
            """dark => document.body.classList.contains("dark") === dark
                && !document.getAnimations().some((one) => one instanceof CSSTransition)""",
            arg=media.get("color_scheme") == "dark",
        )
        assert _violations(page) == []
    for width in (320, 390, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.faults == []


def _violations(page: Page) -> list:
    found = Axe().run(page, options={"rules": {"target-size": {"enabled": True}}}).response["violations"]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]


_SIDE_BY_SIDE = """() => {
    const [input, output] = ["#read-pane", "#side"].map((id) => document.querySelector(id).getBoundingClientRect());
    return output.left >= input.right;
}"""

# Every piece of text with less contrast than 4.5 : 1 to what is painted under it, colours of half-transparent layers
# mixed as the browser mixes them.
_LOW_CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
    const ground = (element) => {
        const layers = [];
        for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
        return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
    };
    const luminance = (colour) => {
        const [r, g, b] = colour.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const low = [];
    for (const element of document.querySelectorAll("main *")) {
        const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!text && !element.matches("textarea")) continue;
        if (!element.checkVisibility() || element.closest(":disabled, .hidden, [aria-hidden=true]")) continue;
        const under = ground(element);
        const [a, b] = [luminance(over(rgba(getComputedStyle(element).color), under)), luminance(under)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) low.push(`${contrast.toFixed(2)} ${element.className} ${element.textContent.slice(0, 40)}`);
    }
    return low;
}"""


def test_control_characters_survive_where_html_can_hold_them(page):
    summarised(page, examples()[0]["article"])
    # A text area holds line feeds only, whatever is pasted; everything else stays.
    text = ARTICLES["control"].replace("\r\n", "\n").replace("\r", "\n")
    paste(page, text)
    page.get_by_role("button", name="Summarise", exact=True).click()
    page.get_by_role("button", name="Summarise all the same").click()
    summarised(page, text)
