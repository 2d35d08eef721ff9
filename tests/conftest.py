"""Fixtures that several tests share."""

import os

# Before any import reads them: the loopback Hub has no Xet storage, and loopback never goes through a proxy.
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

from pathlib import Path

import pytest

from tests.server import demo  # noqa: F401 (a fixture: one server for the page and the HTTP interface)
from tests.tiny import tiny_t5

ROOT = Path(__file__).resolve().parents[1]
# The files that take longest, which two processes should not be left with at the end.
SLOWEST = ("test_browser", "test_train", "test_end_to_end", "test_resume", "test_loop", "test_eval", "test_app")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: SLOWEST.index(item.path.stem) if item.path.stem in SLOWEST else len(SLOWEST))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real texts beside the checkout; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs real texts that are not part of this project ({folder} is absent)")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """(model, tokenizer): a small T5 with random weights; tests must not change it."""
    return tiny_t5()
