"""The page in a real Chromium, as a visitor sees it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from space.views.summarise import examples
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
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


def explained(page: Page, text: str) -> None:
    """Waits until the article that is highlighted is `text`, character for character."""
    page.wait_for_function(
        "text => document.querySelector('.why .article')?.textContent === text && !document.querySelector('.busy')",
        arg=text,
    )


def test_the_page_opens_with_an_example_that_is_already_done(page, demo):
    first = examples()[0]
    explained(page, first["article"])
    expect(page.get_by_label("Article", exact=True)).to_have_value(first["article"])
    assert page.locator(".summary").inner_text().strip()
    expect(page.locator(".read")).to_have_text(re.compile(r"[\d,]+ tokens read, [\d,]+ past the limit"))
    rows = page.locator(".rouge tbody tr")
    assert [row.split()[0] for row in rows.all_inner_texts()] == ["ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum"]
    expect(page.locator(".strongest li")).to_have_count(10)
    expect(page.locator(".status")).to_contain_text("tiny-t5")

    # A word tells what it did when it is pointed at.
    word = page.locator(".article .w").nth(3)
    word.hover()
    tip = page.locator(".tip")
    expect(tip).to_be_visible()
    assert re.fullmatch(r"[+−]?\d+\.\d{3} nats", tip.inner_text())
    assert tip.inner_text().removesuffix(" nats") == word.get_attribute("data-nats")

    # Nothing came from anywhere else, and the browser was told that nothing may.
    own = urlsplit(demo.url).netloc
    assert len(page.asked) > 20
    assert {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "blob:"))} == {own}
    assert "default-src 'self'" in page.request.get(demo.url).headers["content-security-policy"]
    assert page.faults == []


def test_paste_click_read(page):
    explained(page, examples()[0]["article"])
    page.get_by_label("Article", exact=True).fill(NASTY)
    page.get_by_label("Reference summary").fill("")
    page.get_by_role("button", name="Summarise").click()
    explained(page, NASTY)
    assert page.locator(".summary").inner_text().strip()
    expect(page.locator(".rouge")).to_have_count(0)  # there is no reference
    assert page.evaluate("window.ran") is None
    assert page.locator(".article :is(script, img, b)").count() == 0
    assert page.locator(".article .w").count() > 10

    page.get_by_label("Reference summary").fill("The lantern was lifted <i>at last</i>.")
    page.get_by_role("button", name="Summarise").click()
    expect(page.locator(".rouge tbody tr")).to_have_count(4)
    explained(page, NASTY)
    for cell in page.locator(".rouge tbody td:not(.share)").all_inner_texts():
        assert 0 <= float(cell) <= 100

    page.get_by_label("Article", exact=True).fill("   ")
    page.get_by_role("button", name="Summarise").click()
    expect(page.get_by_role("alert").first).to_contain_text("The article is empty")
    expect(page.locator(".why")).to_have_count(0)
    assert page.faults == []


def test_examples_settings_and_stop(page):
    explained(page, examples()[0]["article"])
    second = examples()[1]
    page.get_by_role("button", name=second["title"]).click()
    explained(page, second["article"])
    expect(page.get_by_label("Reference summary")).to_have_value(second["reference"])
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_disabled()

    page.get_by_role("button", name="Settings").click()
    beams = page.get_by_label("number input for Beams")
    expect(beams).to_be_disabled()  # the model's own until that is unticked
    page.get_by_label("Decode the way").uncheck()
    expect(beams).to_be_enabled()
    beams.fill("2")
    beams.blur()
    tokens = page.get_by_label("number input for New tokens")
    tokens.fill("8")
    tokens.blur()
    steps = page.get_by_label("number input for Steps")
    steps.fill("128")
    steps.blur()
    page.get_by_role("button", name="Summarise").click()
    expect(page.locator(".byline")).to_contain_text("with 2 beams, at most 8 new tokens")
    page.wait_for_function("document.querySelector('#explanation .busy')")
    stop.click()
    expect(page.locator("#explanation")).to_contain_text("Stopped.")
    expect(page.locator(".byline")).to_contain_text("with 2 beams")  # what was there stays
    assert page.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_can_be_read(browser, demo, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.goto(demo.url)
    explained(page, examples()[0]["article"])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(_SIDE_BY_SIDE)
    assert wide == (width > 760)
    # WCAG 2.2 AA: 4.5 : 1 for text of this size.
    assert page.evaluate(_LOW_CONTRAST) == []
    context.close()


_SIDE_BY_SIDE = """() => {
    const [input, output] = ["#input", "#output"].map((id) => document.querySelector(id).getBoundingClientRect());
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
    explained(page, examples()[0]["article"])
    # A text area holds line feeds only, whatever is pasted; everything else stays.
    text = ARTICLES["control"].replace("\r\n", "\n").replace("\r", "\n")
    page.get_by_label("Article", exact=True).fill(text)
    page.get_by_role("button", name="Summarise").click()
    explained(page, text)
