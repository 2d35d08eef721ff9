"""A recipe of seconds, as a file."""

import pytest

from tests.pretraining.recipe import RECIPE


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE, "utf-8")
    return path
