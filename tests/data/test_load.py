"""Reading pairs (local files, the Hub), token ids, batches and their order."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import skip_first_batches
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

from tests.hub.double import Fault, Hub
from trainer.data.load import load_split
from trainer.data.sampling import LengthGroupedSampler
from trainer.data.splits import Example, Split, leakage_notes, shared_sources
from trainer.data.tokens import SummarizationDataset, collator, tokenize
from trainer.errors import UserError
from trainer.settings.groups import DataSettings

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "trainer" / "recipes" / "smoke"
FERRY = {"id": "a1", "document": "The ferry sank.\nAll were saved.", "summary": "A ferry has sunk."}
MILL = {"id": "a2", "document": "The mill burns.", "summary": "A mill is on fire."}


def settings(path: Path, **over: Any) -> DataSettings:
    """The file as all three splits."""
    return DataSettings(train_file=path, validation_file=path, test_file=path, **over)


def read(path: Path, **over: Any) -> Split:
    return load_split(settings(path, **over), "train")


def refusal(path: Path, **over: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **over)
    return str(caught.value)


def jsonl(path: Path, *lines: dict | str | bytes) -> Path:
    encoded = [json.dumps(line).encode() if isinstance(line, dict) else line for line in lines]
    encoded = [line.encode() if isinstance(line, str) else line for line in encoded]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def csv_file(path: Path, *rows: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


class TestLocalFiles:
    def test_the_three_kinds_give_the_same_pairs(self, tmp_path):
        files = [
            jsonl(tmp_path / "a.jsonl", FERRY, MILL),
            csv_file(tmp_path / "a.csv", list(FERRY), list(FERRY.values()), list(MILL.values())),
            parquet(tmp_path / "a.parquet", **{key: [FERRY[key], MILL[key]] for key in FERRY}),
        ]
        splits = [read(path) for path in files]
        expected = [
            Example("a1", "The ferry sank.\nAll were saved.", "A ferry has sunk."),
            Example("a2", "The mill burns.", "A mill is on fire."),
        ]
        for path, split in zip(files, splits, strict=True):
            assert split.examples == expected
            assert split.dataset == f"{tmp_path.name}/{path.name}"
            assert (split.name, split.revision, split.skipped, split.notes()) == ("train", None, [], [])
        assert len({split.fingerprint for split in splits}) == 1
        assert len(splits[0].fingerprint) == 16

    def test_columns_can_have_other_names(self, tmp_path):
        row = {"article": "The mill burns.", "highlights": "Fire.", "url": "m", "id": 7}
        names = {"source_column": "article", "target_column": "highlights"}
        path = jsonl(tmp_path / "a.jsonl", row)
        assert read(path, **names).examples == [Example("7", "The mill burns.", "Fire.")]
        assert read(path, **names, id_column="url").examples[0].id == "m"

    def test_fingerprint_changes_with_every_text_and_with_order(self, tmp_path):
        path = tmp_path / "a.jsonl"
        moved = {**FERRY, "document": FERRY["document"] + "A", "summary": FERRY["summary"][1:]}
        variants = [[FERRY, MILL], [MILL, FERRY], [FERRY], [{**FERRY, "id": "b"}, MILL], [moved, MILL]]
        prints = {read(jsonl(path, *rows)).fingerprint for rows in variants}
        assert len(prints) == len(variants)

    def test_first_n_in_the_order_of_the_file(self, tmp_path):
        rows = [{**FERRY, "id": str(n)} for n in (5, 3, 9, 1)]
        path = jsonl(tmp_path / "a.jsonl", *rows, "broken")
        split = read(path, max_train_samples=2)
        assert [example.id for example in split.examples] == ["5", "3"]
        data = settings(path, max_train_samples=1, max_test_samples=3)
        assert len(load_split(data, "test")) == 3
        assert "line 5" in refusal(path, max_train_samples=5)  # asked for more than there is: reads to the end
        split = read(jsonl(path, "broken", *rows), max_train_samples=2, skip_bad_rows=True)
        assert [example.id for example in split.examples] == ["5", "3"]
        assert split.rows_read == 3

    def test_ids(self, tmp_path):
        rows = [{**FERRY, "id": value} for value in ("x", "", None, 12, 12.0, 0.5)]
        nameless = {"document": "The mill burns.", "summary": "Fire."}
        split = read(jsonl(tmp_path / "a.jsonl", *rows, "", nameless))
        assert [example.id for example in split.examples] == ["x", "2", "3", "12", "12", "0.5", "7"]
        assert split.notes() == [f"{tmp_path.name}/a.jsonl: 1 id occurs more than once in train, such as '12'."]
        assert "column 'id' holds a list ([1]), not an id" in refusal(jsonl(tmp_path / "b.jsonl", FERRY | {"id": [1]}))

    def test_an_id_column_that_was_asked_for_must_be_there(self, tmp_path):
        message = refusal(jsonl(tmp_path / "a.jsonl", FERRY), id_column="bbcid")
        assert message.startswith("--id_column is 'bbcid'")
        message = refusal(csv_file(tmp_path / "a.csv", list(FERRY), list(FERRY.values())), id_column="ids")
        assert "no column 'ids'; there are 'id', 'document', 'summary' (did you mean 'id'?)" in message
        assert message.endswith("--id_column.")

    def test_byte_order_mark(self, tmp_path):
        mark = b"\xef\xbb\xbf"
        line = json.dumps({**FERRY, "summary": "Fähre 渡し船 😀"}, ensure_ascii=False).encode()
        path = jsonl(tmp_path / "a.jsonl", mark + line)
        assert read(path).examples[0].target == "Fähre 渡し船 😀"
        path = tmp_path / "a.csv"
        path.write_bytes(mark + b"document,summary\nThe mill burns.,Fire.\n")
        assert read(path).examples == [Example("1", "The mill burns.", "Fire.")]
        path.write_bytes("document,summary\n".encode("utf-16"))
        assert refusal(path) == f"{path} is UTF-16: save it as UTF-8."

    def test_a_text_may_be_longer_than_the_csv_module_likes(self, tmp_path):
        before = csv.field_size_limit()
        long = "word " * 60_000
        path = csv_file(tmp_path / "a.csv", ["document", "summary"], [long, "Fire."])
        assert read(path).examples[0].source == long
        assert csv.field_size_limit() == before

    def test_not_a_file(self, tmp_path):
        assert refusal(tmp_path / "no.csv") == f"--train_file is {tmp_path / 'no.csv'}: there is no such file."
        (tmp_path / "folder.csv").mkdir()
        assert "that is a folder" in refusal(tmp_path / "folder.csv")
        for name in ("a.jsonl", "a.csv"):
            (tmp_path / name).write_bytes(b"")
            assert f"{name} holds no rows" in refusal(tmp_path / name)
        (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
        assert "a.parquet is not a whole Parquet file: " in refusal(tmp_path / "a.parquet")

    def test_local_data_is_not_split_silently(self, tmp_path):
        path = jsonl(tmp_path / "a.jsonl", FERRY)
        data = DataSettings(train_file=path, validation_file=path)
        with pytest.raises(UserError, match=r"^--test_file is not given\. Local data is not split"):
            load_split(data, "test")


JSONL_FAULTS = [
    ('{"document": "The mill burns."}', "no column 'summary'; there is 'document'"),
    (
        '{"document": "d", "sumary": "s"}',
        "no column 'summary'; there are 'document', 'sumary' (did you mean 'sumary'?)",
    ),
    ("{}", "no column 'document'; there are none"),
    ('{"document": "d", "summary": ""}', "column 'summary' is empty"),
    ('{"document": " \\n\\t\\u00a0\\u200b", "summary": "s"}', "column 'document' is empty"),
    ('{"document": null, "summary": "s"}', "column 'document' is null, not text"),
    ('{"document": "d", "summary": 3}', "column 'summary' holds a number (3), not text"),
    ('{"document": "d", "summary": true}', "column 'summary' holds true or false (True), not text"),
    ('{"document": ["d"], "summary": "s"}', "column 'document' holds a list (['d']), not text"),
    ('{"document": {"t": 1}, "summary": "s"}', "column 'document' holds an object ({'t': 1}), not text"),
    ('{"document": "d", "summary": "\\ud83d"}', "column 'summary' holds half of a character (\\ud83d)"),
    ('{"document": "d", "summary": "s"', "broken JSON: Expecting ',' delimiter, column 33"),
    ("not JSON", "broken JSON: Expecting value, column 1"),
    ('["d", "s"]', "a list (['d', 's']) where a JSON object is needed (the file looks like one JSON array"),
    ("[" * 100_000, "broken JSON: "),
    (b'{"document": "caf\xe9", "summary": "s"}', "not UTF-8 (byte 0xe9 at position 18 of the line)"),
]

CSV_FAULTS = [
    ("just one\n", "1 field where the header names 2 columns"),
    ("a,b,c\n", "3 fields where the header names 2 columns"),
    ("a,\n", "column 'summary' is empty"),
    ('a,"b" c\n', "broken CSV: ',' expected after '\"'"),
    ("caf\udce9,b\n", "column 'document' is not UTF-8 (byte 0xe9)"),
]


class TestBadRows:
    @pytest.mark.parametrize(("line", "reason"), JSONL_FAULTS)
    def test_jsonl(self, tmp_path, line, reason):
        path = jsonl(tmp_path / "a.jsonl", FERRY, "", line, MILL)
        message = refusal(path)
        assert message.startswith(f"{path}, line 3: {reason}")
        assert message.endswith(" Mend it, or leave bad rows out with --skip_bad_rows.")
        split = read(path, skip_bad_rows=True)
        assert [example.id for example in split.examples] == ["a1", "a2"]
        assert [(row.number, row.unit) for row in split.skipped] == [(3, "line")]
        notes = split.notes()
        assert notes[0] == f"{tmp_path.name}/a.jsonl: 1 of 3 rows skipped as bad:"
        assert notes[1].startswith(f"  {path}, line 3: {reason}")

    @pytest.mark.parametrize(("row", "reason"), CSV_FAULTS)
    def test_csv_lines_are_those_of_the_file(self, tmp_path, row, reason):
        path = tmp_path / "a.csv"
        good = '"Two\nlines, ""quoted""\nand a third",One\n'
        text = f"document,summary\n{good}\n{row}{good}"  # header, lines 2 to 4, an empty one, the bad one
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert refusal(path).startswith(f"{path}, line 6: {reason}")
        split = read(path, skip_bad_rows=True)
        assert [example.source for example in split.examples] == ['Two\nlines, "quoted"\nand a third'] * 2
        assert [example.id for example in split.examples] == ["1", "3"]
        assert [row.number for row in split.skipped] == [6]

    def test_a_quote_that_is_never_closed(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('document,summary\na,b\n"c,d\ne,f\n')
        assert refusal(path).startswith(
            f"{path}, line 3: a quote that opens here is never closed: lines 3 to 4 are lost."
        )
        assert len(read(path, skip_bad_rows=True)) == 1

    def test_csv_header(self, tmp_path):
        message = refusal(csv_file(tmp_path / "a.csv", ["Document", "abstract"], ["d", "s"]))
        assert "no column 'document'; there are 'Document', 'abstract' (did you mean 'Document'?)" in message
        assert message.endswith("Name it with --source_column.")
        path = csv_file(tmp_path / "b.csv", ["document", "summary", "document"], ["d", "s", "e"])
        assert refusal(path) == f"{path}, line 1: two columns are named 'document'."

    def test_na_is_a_text(self, tmp_path):
        path = csv_file(tmp_path / "a.csv", ["id", "document", "summary"], ["007", "N/A", "null"])
        assert read(path).examples == [Example("007", "N/A", "null")]

    def test_parquet(self, tmp_path):
        path = parquet(tmp_path / "a.parquet", document=["d", None, "e", " "], summary=["s", "t", "u", "v"])
        assert refusal(path).startswith(f"{path}, row 2: column 'document' is null, not text.")
        split = read(path, skip_bad_rows=True)
        assert [example.id for example in split.examples] == ["1", "3"]
        assert [row.number for row in split.skipped] == [2, 4]
        assert "b.parquet has no column 'summary'" in refusal(parquet(tmp_path / "b.parquet", document=["d"]))
        numbers = parquet(tmp_path / "c.parquet", document=["d"], summary=[1])
        assert "row 1: column 'summary' holds a number (1), not text" in refusal(numbers)

    def test_parquet_with_text_that_is_no_utf8(self, tmp_path):
        text = pa.array([b"fine", b"caf\xe9", b"fine too"]).view(pa.string())
        path = parquet(tmp_path / "a.parquet", document=text, summary=["s", "t", "u"])
        assert "row 2: not UTF-8 (byte 0xe9)" in refusal(path)
        split = read(path, skip_bad_rows=True)
        assert [example.source for example in split.examples] == ["fine", "fine too"]

    def test_a_parquet_file_that_breaks_off(self, tmp_path):
        path = tmp_path / "a.parquet"
        texts = [f"{n} " * 50 for n in range(4000)]
        pq.write_table(pa.table({"document": texts, "summary": texts}), path, row_group_size=1000)
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 5000] = bytes(5000)
        path.write_bytes(data)
        assert "a.parquet is broken after row " in refusal(path)

    def test_many_bad_rows_are_all_kept_and_a_few_printed(self, tmp_path):
        path = jsonl(tmp_path / "a.jsonl", *["{}"] * 8, FERRY)
        split = read(path, skip_bad_rows=True)
        assert [row.number for row in split.skipped] == list(range(1, 9))
        notes = split.notes()
        assert notes[0].endswith("8 of 9 rows skipped as bad:")
        assert len(notes) == 7
        assert notes[-1] == "  … and 3 more"

    def test_nothing_usable(self, tmp_path):
        path = jsonl(tmp_path / "a.jsonl", "{}", "x")
        message = refusal(path, skip_bad_rows=True)
        assert message.startswith(f"{path} has no usable row: all 2 are bad. The first is {path}, line 1: no col")


def test_articles_on_both_sides_are_counted(tmp_path):
    again = {
        **MILL,
        "id": "c1",
        "document": " The  mill\nburns. ",
    }  # other white space: still the same article
    changed = {**MILL, "id": "c2", "document": "The mill burns!"}
    train = read(jsonl(tmp_path / "train.jsonl", FERRY, MILL))
    clean = load_split(settings(jsonl(tmp_path / "clean.jsonl", changed)), "validation")
    test = load_split(settings(jsonl(tmp_path / "test.jsonl", changed, again)), "test")
    assert shared_sources(train.examples, test.examples) == ["c1"]
    assert leakage_notes(train, clean, test) == [
        "1 of the 2 test articles (such as id 'c1') is in the training pairs too: test scores will flatter the model."
    ]


def test_the_smoke_pairs(tiny):
    data = DataSettings(**{f"{name}_file": SMOKE / f"{name}.jsonl" for name in ("train", "validation", "test")})
    splits = [load_split(data, name) for name in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [28, 6, 6]
    assert leakage_notes(*splits) == []
    examples = [example for split in splits for example in split.examples]
    assert [example.id for example in examples] == [f"smoke-{n:03d}" for n in range(1, 41)]
    for example in examples:
        assert 90 <= len(example.source.split()) <= 180
        assert 15 <= len(example.target.split()) <= 28
        assert "\n" in example.source and example.target not in example.source
    assert len({example.target.split()[0] for example in examples}) > 15


# --- The Hub ---------------------------------------------------------------------------------------------

# `datasets` reads HF_ENDPOINT when it is imported: one process serves all the cases, a line each.
DRIVER = """
import json, sys
from trainer.data import hub_datasets
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.hub.patience import Patience
from trainer.settings.groups import DataSettings

hub_datasets.FIRST_QUESTION = Patience(total=2.5)  # as the product asks, but for fewer seconds
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


# --- Token ids and batches -------------------------------------------------------------------------------

TEXTS = [Example("1", "The ferry sank. " * 30, "A ferry has sunk."), Example("2", "A mill.", "Fire " * 40)]


class TestTokens:
    def test_ids_are_the_tokenizers_own(self, tiny):
        _, tokenizer = tiny
        smoke = read(SMOKE / "train.jsonl").examples
        dataset = SummarizationDataset(
            [*smoke, *TEXTS], tokenizer, prefix="summarize: ", max_source_length=200, max_target_length=30
        )
        cut = [0, 0]
        for item, example in zip(dataset, [*smoke, *TEXTS], strict=True):
            source, target = "summarize: " + example.source, example.target
            assert item["input_ids"] == tokenizer(source, truncation=True, max_length=200).input_ids
            assert item["labels"] == tokenizer(text_target=target, truncation=True, max_length=30).input_ids
            assert item["input_ids"][-1] == item["labels"][-1] == tokenizer.eos_token_id
            assert item["input_ids"].count(1) == item["labels"].count(1) == 1
            cut[0] += len(tokenizer(source).input_ids) > 200
            cut[1] += len(tokenizer(target).input_ids) > 30
        assert [dataset.truncated_sources, dataset.truncated_targets] == cut
        assert 0 < cut[0] < 30 and 0 < cut[1] <= 30
        assert dataset.source_lengths.tolist() == [len(item["input_ids"]) for item in dataset]
        assert dataset.target_lengths.tolist() == [len(item["labels"]) for item in dataset]
        assert dataset.source_lengths.max() == 200

    def test_the_limit_itself_is_not_cut(self, tiny):
        _, tokenizer = tiny
        length = len(tokenizer("A mill.").input_ids)
        pair = [Example("1", "A mill.", "A mill.")]
        limits = {"prefix": "", "max_target_length": 9}
        whole = SummarizationDataset(pair, tokenizer, max_source_length=length, **limits)
        assert (whole.truncated_sources, whole.notes()) == (0, [])
        short = SummarizationDataset(pair, tokenizer, max_source_length=length - 1, **limits)
        assert short.truncated_sources == 1
        assert short[0]["input_ids"] == [*whole[0]["input_ids"][:-2], 1]
        assert short.notes() == [f"1 of 1 articles (100.0%) were cut to --max_source_length {length - 1} tokens."]

    def test_settings_give_prefix_and_limits(self, tiny):
        _, tokenizer = tiny
        dataset = tokenize(TEXTS, tokenizer, DataSettings(prefix="A summary: ", max_source_length=50))
        assert tokenizer.decode(dataset[1]["input_ids"]) == "A summary: A mill.</s>"
        assert len(dataset[0]["input_ids"]) == 50
        taken = len(tokenizer("summarize: ").input_ids)
        with pytest.raises(UserError, match=rf"--max_source_length is {taken}: the prefix 'summarize: ' and"):
            tokenize(TEXTS, tokenizer, DataSettings(max_source_length=taken))
        assert len(tokenize(TEXTS, tokenizer, DataSettings(max_source_length=taken + 1))[0]["input_ids"]) == taken + 1

    def test_batch(self, tiny):
        model, tokenizer = tiny
        dataset = tokenize(TEXTS, tokenizer, DataSettings())
        batch = collator(tokenizer)([dataset[0], dataset[1]])
        assert set(batch) == {"input_ids", "attention_mask", "labels"}
        for row, item in enumerate([dataset[0], dataset[1]]):
            source, target = len(item["input_ids"]), len(item["labels"])
            assert batch["input_ids"][row, :source].tolist() == item["input_ids"]
            assert (batch["input_ids"][row, source:] == tokenizer.pad_token_id).all()
            assert batch["attention_mask"][row].tolist() == [1] * source + [0] * (batch["input_ids"].shape[1] - source)
            assert batch["labels"][row, :target].tolist() == item["labels"]
            assert (batch["labels"][row, target:] == -100).all()
        assert batch["input_ids"].shape[1] == dataset.source_lengths.max()
        assert batch["labels"].shape[1] == dataset.target_lengths.max()

        batch = collator(tokenizer, model)([dataset[0], dataset[1]])
        labels = batch["labels"]
        assert (batch["decoder_input_ids"][:, 0] == model.config.decoder_start_token_id).all()
        assert (batch["decoder_input_ids"][:, 1:] == labels[:, :-1].masked_fill(labels[:, :-1] == -100, 0)).all()
        with torch.inference_mode():
            assert torch.isfinite(model(**batch).loss)

    def test_padding_changes_no_loss(self, tiny):
        model, tokenizer = tiny
        dataset = tokenize(TEXTS, tokenizer, DataSettings())
        with torch.inference_mode():
            both = model(**collator(tokenizer)([dataset[0], dataset[1]])).loss.item()
            alone = [model(**collator(tokenizer)([dataset[i]])).loss.item() for i in (0, 1)]
        lengths = dataset.target_lengths
        assert both == pytest.approx(float(np.average(alone, weights=lengths)), rel=1e-5)


def waste(order: list[int], lengths: np.ndarray, batch_size: int) -> float:
    """Share of padding in the batches."""
    kept, padded = 0, 0
    for start in range(0, len(order), batch_size):
        batch = lengths[order[start : start + batch_size]]
        kept += int(batch.sum())
        padded += int(batch.max()) * len(batch)
    return 1 - kept / padded


class TestLengthGroupedSampler:
    lengths = np.random.default_rng(0).lognormal(5, 0.6, size=1003).astype(int) + 1

    def test_every_index_once_and_the_same_again(self):
        sampler = LengthGroupedSampler(self.lengths, batch_size=8, seed=3)
        orders = []
        for epoch in (0, 1, 2):
            sampler.set_epoch(epoch)
            orders.append(list(sampler))
            assert sorted(orders[-1]) == list(range(1003))
        assert orders[0] != orders[1] != orders[2]
        assert len(sampler) == 1003
        torch.manual_seed(99)  # the global generator has no say
        fresh = LengthGroupedSampler(self.lengths, batch_size=8, seed=3)
        fresh.set_epoch(1)
        before = torch.get_rng_state()
        assert list(fresh) == orders[1]
        assert torch.equal(before, torch.get_rng_state())
        assert list(LengthGroupedSampler(self.lengths, batch_size=8, seed=4)) != orders[0]

    def test_less_padding_than_random_and_the_longest_first(self):
        order = list(LengthGroupedSampler(self.lengths, batch_size=8))
        random = np.random.default_rng(1).permutation(1003).tolist()
        assert waste(random, self.lengths, 8) > 0.35
        assert waste(order, self.lengths, 8) < 0.1
        assert self.lengths[order[0]] == self.lengths.max()
        assert list(LengthGroupedSampler([], batch_size=8)) == []
        with pytest.raises(ValueError, match="batch_size is 0"):
            LengthGroupedSampler(self.lengths, batch_size=0)

    @staticmethod
    def loader(sampler: LengthGroupedSampler, processes: int, index: int) -> DataLoader:
        """As Trainer makes it: accelerate deals the batches out."""
        loader = DataLoader(range(len(sampler)), batch_size=8, sampler=sampler, collate_fn=list)
        return prepare_data_loader(loader, num_processes=processes, process_index=index, use_seedable_sampler=True)

    def test_two_processes_share_an_epoch(self):
        lengths = self.lengths[:1000]  # 125 batches: accelerate fills up with one from the start
        expected = LengthGroupedSampler(lengths, batch_size=16, seed=5)
        expected.set_epoch(1)
        batches = [list(expected)[start : start + 8] for start in range(0, 1000, 8)]
        seen = []
        for index in (0, 1):
            loader = self.loader(LengthGroupedSampler(lengths, 16, seed=5), processes=2, index=index)
            loader.set_epoch(1)
            seen.append(list(loader))
        assert seen[0] == batches[0::2]
        assert seen[1] == [*batches[1::2], batches[0]]

    @pytest.mark.parametrize("processes", [1, 2])
    def test_resuming_in_the_middle_goes_on_with_the_same_batches(self, processes):
        whole = self.loader(LengthGroupedSampler(self.lengths, 8, seed=5), processes, index=0)
        whole.set_epoch(2)
        rest = list(whole)[10:]
        sampler = LengthGroupedSampler(self.lengths, 8, seed=5)
        resumed = skip_first_batches(self.loader(sampler, processes, index=0), 10)
        resumed.set_epoch(2)
        if processes > 1:  # accelerate does not get through to it: its documented exception
            assert sampler.epoch == 0
            sampler.set_epoch(2)
        assert list(resumed) == rest


# --- Real texts ------------------------------------------------------------------------------------------


def test_real_pairs(shared_data):
    """XSum and the original T5 vocabulary: counts, ids, token ids, padding."""
    tokenizer = AutoTokenizer.from_pretrained(shared_data.parent / "t5-tokenizer")
    folder = shared_data / "xsum"
    data = DataSettings(**{f"{name}_file": folder / f"{name}.jsonl" for name in ("train", "validation", "test")})
    splits = {name: load_split(data, name) for name in ("train", "validation", "test")}
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 1397,
        "validation": 300,
        "test": 999,
    }
    assert all(example.id for split in splits.values() for example in split.examples)
    lines = (folder / "test.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["document"] for line in lines] == [e.source for e in splits["test"].examples]

    sample = splits["test"].examples[:150]
    dataset = tokenize(sample, tokenizer, data)
    assert dataset.truncated_targets == 0
    assert 0 < dataset.truncated_sources < 30
    for item, example in zip(dataset, sample, strict=True):
        assert (
            item["input_ids"] == tokenizer("summarize: " + example.source, truncation=True, max_length=1024).input_ids
        )
    order = list(LengthGroupedSampler(dataset.source_lengths, batch_size=8))
    assert waste(order, dataset.source_lengths, 8) < 0.6 * waste(list(range(150)), dataset.source_lengths, 8)
