"""Takes the picture of the demo that README shows, in Debian's Chromium.

python -m tests.screenshot .github/demo.png
python -m tests.screenshot phone.png --width 390 --dark --whole
python -m tests.screenshot mine.png --model you/your-model     # any further option is app.py's
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.server import running_app

# What a machine without a display, a GPU or a network needs.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def open_browser(playwright: Playwright) -> Browser | None:
    """Debian's Chromium, or None where it is not installed."""
    chromium = shutil.which("chromium")
    return playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) if chromium else None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in CSS pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=900, help="likewise (default: %(default)s)")
    parser.add_argument("--dark", action="store_true", help="the dark version")
    parser.add_argument("--example", help="title of the example to show (default: the first)")
    parser.add_argument("--whole", action="store_true", help="the whole page, not only what a window shows")
    parser.add_argument("--url", help="of a demo that runs already; by default one is started")
    options, of_app = parser.parse_known_args(argv)
    if options.url:
        return _take(options.url, options)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(*of_app, log=Path(folder) / "app.log") as server,
    ):
        return _take(server.url, options)


def _take(url: str, options: argparse.Namespace) -> int:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        if browser is None:
            print("tests.screenshot: Chromium is not installed", file=sys.stderr)
            return 1
        page = browser.new_page(
            viewport={"width": options.width, "height": options.height},
            color_scheme="dark" if options.dark else "light",
            device_scale_factor=2,
        )
        page.goto(url)
        page.wait_for_selector("#summary .summary", timeout=300_000)
        if options.example:
            page.get_by_role("button", name=options.example).click()
            page.wait_for_timeout(500)
        page.wait_for_function("!document.querySelector('.busy, .status.moving')", timeout=60_000)
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=options.picture, full_page=options.whole)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
