"""What can be a name on the Hub, and a name with its revision."""

import pytest

from trainer.hub.names import can_be_name, name_and_revision


@pytest.mark.parametrize("name", ["user/name", "gpt2", "EdinburghNLP/xsum", "a-b/c_d.e"])
def test_names(name):
    assert can_be_name(name)


@pytest.mark.parametrize("name", ["", "a/b/c", "./folder", "/tmp/x", "~/model", "x sum", "a--b", "user/name@v1", ".."])
def test_what_is_none(name):
    assert not can_be_name(name)


def test_a_name_with_its_revision(tmp_path, monkeypatch):
    assert name_and_revision("user/name") == ("user/name", None)
    assert name_and_revision("user/name@refs/pr/1") == ("user/name", "refs/pr/1")
    assert name_and_revision("user/name@v1@2") == ("user/name", "v1@2"), "a branch may hold an @, a name may not"
    assert name_and_revision("user/name@") == ("user/name@", None)
    assert name_and_revision("@v1") == ("@v1", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model@v1").mkdir()
    assert name_and_revision("model@v1") == ("model@v1", None), "a folder of that name"
