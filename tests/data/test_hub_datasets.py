"""Splits of the Hub, against a Hub on loopback."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.files import FERRY, jsonl, read
from tests.hub.double import Fault, Hub
from trainer.settings.base import ROOT

# `datasets` reads HF_ENDPOINT when it is imported: one process serves all the cases, a line each.
DRIVER = """
import json, sys
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.hub import fetch
from trainer.hub.patience import Patience
from trainer.settings.groups import DataSettings

fetch.FIRST_QUESTION = Patience(total=2.5)  # as the product asks, but for fewer seconds
for line in sys.stdin:
    case, said = json.loads(line), []
    try:
        split = load_split(DataSettings(**case["data"]), case["split"], say=said.append)
        answer = {
            "examples": [[e.id, e.source, e.target] for e in split.examples],
            "dataset": split.dataset, "config": split.config, "revision": split.revision,
            "fingerprint": split.fingerprint, "notes": split.notes(),
        }
    except UserError as error:
        answer = {"error": str(error)}
    print("ANSWER", json.dumps(answer | {"said": said}), flush=True)
"""


def rows(word: str, n: int = 2) -> list[dict[str, str]]:
    return [{"document": f"{word} {i}.\nMore.", "summary": f"Short {word} {i}.", "id": f"3{i}"} for i in range(n)]


def as_parquet(pairs: list[dict]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(pairs), file)
    return file.getvalue()


def triples(pairs: list[dict]) -> list[list[str]]:
    return [[pair["id"], pair["document"], pair["summary"]] for pair in pairs]


class Reader:
    """The process that reads, and the Hub that it knows."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        # A folder of the data set's name where the process runs: it must not be taken for it.
        decoy = folder / "EdinburghNLP" / "xsum"
        decoy.mkdir(parents=True)
        jsonl(decoy / "train.jsonl", {**FERRY, "document": "not from the Hub"})
        environment = hub.env(folder / "home") | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
        )

    def ask(self, split: str = "train", **data: Any) -> dict[str, Any]:
        self.process.stdin.write(json.dumps({"split": split, "data": data}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise AssertionError(f"the reader ended with {self.process.wait()}")


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Reader]:
    with Hub() as hub:
        reader = Reader(hub, tmp_path_factory.mktemp("reader"))
        yield reader
        reader.process.stdin.close()
        assert reader.process.wait(timeout=30) == 0
        assert hub.crashes == []
        assert hub.unknown == []


def put_splits(hub: Hub, name: str, pattern: str, revision: str = "main", **splits: list[dict]) -> str:
    files = {pattern.format(split): as_parquet(pairs) for split, pairs in splits.items()}
    return hub.put("dataset", name, files, revision=revision)


class TestHub:
    def test_parquet_on_main_newest_and_pinned(self, reader, tmp_path):
        name, pattern = "EdinburghNLP/xsum", "data/{}-00000-of-00001.parquet"
        old = put_splits(reader.hub, name, pattern, train=rows("old"), validation=rows("kept"), test=rows("last"))
        new = put_splits(reader.hub, name, pattern, train=rows("new", 3))
        answer = reader.ask()  # every default
        assert answer["examples"] == triples(rows("new", 3))
        assert (answer["dataset"], answer["revision"], answer["notes"]) == (name, new, [])
        local = read(jsonl(tmp_path / "same.jsonl", *rows("new", 3)))
        assert answer["fingerprint"] == local.fingerprint
        assert reader.ask("validation")["examples"] == triples(rows("kept"))
        for pin in (old, old[:10]):
            answer = reader.ask(dataset_revision=pin)
            assert (answer["examples"], answer["revision"]) == (triples(rows("old")), old)
        assert reader.ask(max_train_samples=1)["examples"] == triples(rows("new", 1))

        assert "EdinburghNLP/xsum exists, but not in the revision" in reader.ask(dataset_revision="v9")["error"]
        assert reader.ask(target_column="sumary")["error"] == (
            "EdinburghNLP/xsum has no column 'sumary'; there are 'document', 'summary', 'id' "
            "(did you mean 'summary'?). Name it with --target_column."
        )
        reader.hub.fail(Fault("GET", "/api/datasets/EdinburghNLP/xsum", status=503))
        answer = reader.ask()
        assert answer["revision"] == new
        assert answer["said"][0].startswith("The Hub: 503 while looking up EdinburghNLP/xsum; try 2 in 1 s")

    def test_loading_script_on_main(self, reader):
        name = "news/xsum"
        # Were it run, it would end the reader.
        script = reader.hub.put("dataset", name, {"xsum.py": b"import os\nos._exit(3)\n", "README.md": b"# XSum\n"})
        copy = put_splits(
            reader.hub,
            name,
            "default/{}/0000.parquet",
            "refs/convert/parquet",
            train=rows("a"),
            test=rows("b"),
        )
        answer = reader.ask("test", dataset=name)
        assert answer["examples"] == triples(rows("b"))
        assert answer["revision"] == copy
        assert answer["notes"] == [
            "news/xsum has a loading script on its main branch, which is no longer run; its Parquet copy "
            f"refs/convert/parquet (commit {copy[:12]}) was read."
        ]
        for pin in ("refs/convert/parquet", copy):  # asked for by name: nothing to remark
            answer = reader.ask("test", dataset=name, dataset_revision=pin)
            assert (answer["examples"], answer["notes"]) == (triples(rows("b")), [])
        error = reader.ask(dataset=name, dataset_revision=script)["error"]
        assert f"is commit {copy}: give that instead." in error
        error = reader.ask("validation", dataset=name)["error"]
        assert error == "news/xsum has no split 'validation'; there are 'train', 'test'."

        reader.hub.put("dataset", "news/script", {"script.py": b""})
        assert "the Hub has no Parquet copy" in reader.ask(dataset="news/script")["error"]

    def test_configurations(self, reader):
        hub, pattern = reader.hub, "{}/train/0000.parquet"
        hub.put("dataset", "news/copied", {"copied.py": b""})
        copy = put_splits(hub, "news/copied", pattern, "refs/convert/parquet", big=rows("big"), small=rows("small"))
        error = reader.ask(dataset="news/copied")["error"]
        assert error == "news/copied has several configurations: big, small. Choose with --dataset_config."
        for pin in (None, "main", copy):
            answer = reader.ask(dataset="news/copied", dataset_config="small", dataset_revision=pin)
            assert (answer["examples"], answer["config"]) == (triples(rows("small")), "small")
            assert answer["revision"] == copy
        error = reader.ask(dataset="news/copied", dataset_config="smal")["error"]
        assert "no configuration 'smal'; there are 'big', 'small' (did you mean 'small'?)" in error

        card = ["---", "configs:"]
        for version in ("1.0.0", "3.0.0"):
            card += [f"- config_name: {version}", "  data_files:", "  - split: train"]
            card += [f"    path: {version}/train.jsonl"]
        lines = {v: json.dumps({"article": f"Version {v}.", "highlights": "A version."}) for v in ("1.0.0", "3.0.0")}
        files = {f"{version}/train.jsonl": line.encode() for version, line in lines.items()}
        hub.put("dataset", "news/cnn", files | {"README.md": "\n".join([*card, "---", ""]).encode()})
        columns = {"dataset": "news/cnn", "source_column": "article", "target_column": "highlights"}
        answer = reader.ask(dataset_config="3.0.0", **columns)
        assert answer["examples"] == [["1", "Version 3.0.0.", "A version."]]
        for over in ({}, {"dataset_config": "2.0.0"}):
            error = reader.ask(**columns, **over)["error"]
            assert error.startswith("--dataset_config of news/cnn: ") and "['1.0.0', '3.0.0']" in error

    def test_bad_rows(self, reader):
        pairs = rows("word", 4)
        pairs[2]["summary"] = None
        reader.hub.put("dataset", "news/bad", {"train.parquet": as_parquet(pairs)})
        error = reader.ask(dataset="news/bad")["error"]
        assert error.startswith("news/bad (train), row 3: column 'summary' is null, not text.")
        answer = reader.ask(dataset="news/bad", skip_bad_rows=True)
        assert answer["examples"] == triples([pairs[0], pairs[1], pairs[3]])
        assert answer["notes"][0] == "news/bad: 1 of 4 rows skipped as bad:"

    def test_what_cannot_be_had(self, reader):
        reader.hub.add_user("ada", "hf_test_ada")
        reader.hub.put("dataset", "ada/secret", {"train.parquet": as_parquet(rows("x"))}, private=True)
        for name in ("news/nothing", "ada/secret"):
            error = reader.ask(dataset=name)["error"]
            assert f"there is no data set {name} on the Hub, or it is private" in error
        reader.hub.put("dataset", "news/cut", {"train.parquet": as_parquet(rows("x"))[:-20]})
        assert "Fetching news/cut did not work: " in reader.ask(dataset="news/cut")["error"]
        assert "that is for a name on the Hub" in reader.ask(dataset="./train.csv")["error"]
        assert "is no name on the Hub" in reader.ask(dataset="x sum")["error"]

    def test_a_hub_that_does_not_answer(self, reader):
        """Last, for it is silent from here on."""
        name = "news/offline"
        sha = put_splits(reader.hub, name, "{}.parquet", train=rows("cached"))
        assert reader.ask(dataset=name)["revision"] == sha
        reader.hub.fail(Fault("*", ".", lose="request", times=None))
        answer = reader.ask(dataset=name, dataset_revision=sha)
        assert (answer["examples"], answer["revision"]) == (triples(rows("cached")), sha)
        assert answer["notes"][0].endswith(f"The copy in the cache, commit {sha}, was read.")
        error = reader.ask(dataset="news/unseen")["error"]
        assert error.startswith("Looking up news/unseen did not work: the connection broke")
