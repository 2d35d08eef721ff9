"""Versions, machine and commit."""

import json
import os
import subprocess

from trainer.runtime.environment import environment, git_commit


class TestEnvironment:
    def test_it_is_json_and_names_no_host(self):
        found = json.loads(json.dumps(environment(), allow_nan=False))
        assert found["packages"]["rouge_score"] == "0.1.2"
        assert found["cores"] >= 1 and found["threads"] >= 1 and found["cpu"]
        assert isinstance(found["bf16"], bool)
        assert os.uname().nodename not in json.dumps(found).split('"')

    def test_commit(self, tmp_path):
        def git(*arguments):
            subprocess.run(
                ["git", "-C", tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
                check=True,
                capture_output=True,
            )

        assert git_commit(tmp_path) is None
        git("init")
        assert git_commit(tmp_path) is None  # no commit yet
        (tmp_path / "trainer").mkdir()
        file = tmp_path / "trainer" / "code.py"
        file.write_text("1")
        git("add", ".")
        git("commit", "-m", "x")
        clean = git_commit(tmp_path)
        assert len(clean) == 40 and set(clean) <= set("0123456789abcdef")
        (tmp_path / "notes").write_text("untracked, and not code")
        assert git_commit(tmp_path) == clean
        file.write_text("2")
        assert git_commit(tmp_path) == clean + "-dirty"
        assert git_commit(tmp_path / "trainer") is None  # a folder inside a checkout is not its top
