"""Files by their names, and files that are whole or not there."""

from pathlib import Path

import pytest

from trainer.runtime.files import replacing, table_kind, write_atomically, write_json


def test_a_table_is_known_by_its_name():
    names = ["a.jsonl", "a.JSON", "a.b.csv", "a.csv.gz", "a.TSV.GZ", "a.parquet", "a.txt", "csv", "a.gz", "a.csv.zip"]
    kinds = [".jsonl", ".json", ".csv", ".csv", ".tsv", ".parquet", None, None, None, None]
    assert [table_kind(Path("folder.csv") / name) for name in names] == kinds


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, "ä\n")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half")
        assert path.read_text("utf-8") == "ä\n"
        raise ZeroDivisionError
    assert path.read_text("utf-8") == "ä\n"
    (path.parent / ".a.txt.part").write_text("left by a kill")
    write_json(path, {"ö": None})
    assert path.read_text("utf-8") == '{\n  "ö": null\n}\n'
    assert list(path.parent.iterdir()) == [path]
