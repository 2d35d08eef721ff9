"""Reading pairs from local files, and what is said of bad ones."""

import csv
import gzip
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.files import FERRY, MILL, csv_file, jsonl, parquet, read, refusal, settings
from trainer.data.load import load_split
from trainer.data.splits import Example, leakage_notes
from trainer.errors import UserError
from trainer.settings.groups import DataSettings

ROOT = Path(__file__).resolve().parents[2]

SMOKE = ROOT / "trainer" / "recipes" / "smoke"


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

    @pytest.mark.parametrize("indent", [None, 2])
    def test_one_array_of_objects(self, tmp_path, indent):
        path = tmp_path / "a.json"
        path.write_text(json.dumps([FERRY, MILL], indent=indent), "utf-8")
        lines = jsonl(tmp_path / "a.jsonl", FERRY, MILL)
        assert read(path).examples == read(lines).examples
        rows = [FERRY, {**MILL, "summary": ""}, "none", FERRY]
        path.write_text(json.dumps(rows, indent=indent), "utf-8")
        split = read(path, skip_bad_rows=True)
        assert len(split) == 2
        places = [row.number for row in split.skipped]
        assert places == ([1, 1] if indent is None else [7, 12])
        path.write_text(json.dumps([FERRY, MILL], indent=indent)[:-20], "utf-8")
        assert "whose rest can't be read" in refusal(path, skip_bad_rows=True)

    def test_what_holds_no_rows_is_not_told_to_leave_rows_out(self, tmp_path):
        (tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": [FERRY, MILL]}, indent=1), "utf-8")
        assert "is one JSON object over many lines" in refusal(tmp_path / "a.json")
        with zipfile.ZipFile(tmp_path / "a.csv", "w") as archive:
            archive.writestr("table.csv", "document,summary\nA,B\n")
        assert "is a ZIP archive, as an Excel workbook is too" in refusal(tmp_path / "a.csv")

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

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
    def test_utf16_with_and_without_its_mark(self, tmp_path, encoding):
        pair = {"document": "渡し船が沈んだ。😀\nÄ", "summary": "Fähre"}
        path = tmp_path / "a.jsonl"
        path.write_bytes((json.dumps(pair, ensure_ascii=False) + "\n").encode(encoding))
        assert read(path).examples == [Example("1", *pair.values())]
        path = tmp_path / "a.csv"
        path.write_bytes("標題,document,summary\r\n一,渡し船,Fähre\r\n".encode(encoding))
        assert read(path).examples == [Example("1", "渡し船", "Fähre")]
        path.write_bytes("document,summary\na,b\n".encode(encoding)[:-1])
        assert "looks like UTF-16 and is not: truncated data" in refusal(path)

    def test_utf8_without_latin_letters_is_not_taken_for_utf16(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_bytes("文,要\n渡し船,沈\n".encode())
        assert read(path, source_column="文", target_column="要").examples == [Example("1", "渡し船", "沈")]

    @pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.CSV.GZ", "a.parquet", "a.parquet.gz"])
    def test_gzip_under_any_name(self, tmp_path, name):
        plain = {"jsonl": jsonl, "csv": lambda path, pair: csv_file(path, list(pair), list(pair.values()))}
        plain["parquet"] = lambda path, pair: parquet(path, **{key: [value] for key, value in pair.items()})
        made = plain[name.lower().split(".")[1]](tmp_path / "plain", FERRY)
        path = tmp_path / name
        path.write_bytes(gzip.compress(made.read_bytes()))
        assert read(path).examples == [Example(*FERRY.values())]
        path.write_bytes(gzip.compress(made.read_bytes())[:-12])
        assert f"{path} is a broken gzip file: " in refusal(path)

    @pytest.mark.parametrize("separator", [";", "\t", "|"])
    @pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
    def test_other_separators(self, tmp_path, separator, name):
        path = tmp_path / name
        lines = [
            ["id", "document", "summary"],
            ["7", f'"Salt, wind{separator} ""and"" rain.\nMore."', "Storm, it said."],
        ]
        path.write_text("".join(separator.join(line) + "\n" for line in lines), "utf-8")
        assert read(path).examples == [Example("7", f'Salt, wind{separator} "and" rain.\nMore.', "Storm, it said.")]
        message = refusal(path, target_column="sumary")
        assert "no column 'sumary'; there are 'id', 'document', 'summary' (did you mean 'summary'?)" in message

    def test_a_comma_is_tried_first(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("document;summary,document,summary\nx,a;b,c\n", "utf-8")
        assert read(path).examples == [Example("1", "a;b", "c")]

    @pytest.mark.parametrize(
        "text",
        [
            ",document,,summary\n0,a,x,b\n1,c,y,d\n",  # an index of pandas, and another column without a name
            "document,summary,\na,b,\nc,d,\n",
            "document,summary,\na,b\nc,d\n",
            "document,summary\na,b,\nc,d,,\n",
            "document,summary, ,\na,b,x,\nc,d,,y\n",
        ],
    )
    def test_columns_without_a_name_and_trailing_commas(self, tmp_path, text):
        path = tmp_path / "a.csv"
        path.write_text(text, "utf-8")
        assert read(path).examples == [Example("1", "a", "b"), Example("2", "c", "d")]
        assert "''" not in refusal(path, source_column="text")

    def test_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        jsonl(tmp_path / "a.jsonl", FERRY)
        assert read(Path("~/a.jsonl")).examples == [Example(*FERRY.values())]

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

    def test_lines_lost_to_a_quote_are_counted(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('document,summary\na,b\n"c,d\ne,f\ng,"h"\ni,j\n', "utf-8")
        split = read(path, skip_bad_rows=True)
        assert [example.source for example in split.examples] == ["a", "i"]
        assert split.notes()[0].endswith("1 of 3 rows skipped as bad (3 lines):")
        assert "line 3: broken CSV: ',' expected after '\"': lines 3 to 5 are lost" in split.notes()[1]

    @pytest.mark.parametrize("end", ["", 'x,"y"\nz,z\n'])
    def test_a_quote_that_swallows_many_lines_is_not_passed_over(self, tmp_path, end):
        path = tmp_path / "a.csv"
        path.write_text('document,summary\na,b\n"c,d\n' + "e,f\n" * 9 + end, "utf-8")
        message = refusal(path, skip_bad_rows=True)
        assert message.startswith(f"{path}, line 3: ") and "lines 3 to 1" in message
        assert message.endswith("So many lines are more than one bad row, so they are not left out: mend the quote.")

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


class TestSeveralSets:
    def data(self, tmp_path, **more):
        files = {"train_file": jsonl(tmp_path / "a.jsonl", FERRY), "validation_file": tmp_path / "v.jsonl"}
        jsonl(tmp_path / "b.jsonl", MILL, FERRY)
        return DataSettings(**files, other_train_files=f"{tmp_path / 'b.jsonl'}", **more)

    def test_the_other_pairs_stand_behind_the_first(self, tmp_path):
        split = load_split(self.data(tmp_path), "train")
        assert split.sizes == (1, 2)
        name = f"{tmp_path.name}/b.jsonl"
        assert [pair.id for pair in split.examples] == ["a1", f"{name}:a2", f"{name}:a1"]
        assert [pair.target for pair in split.examples][1:] == ["A mill is on fire.", "A ferry has sunk."]
        assert split.dataset == f"{tmp_path.name}/a.jsonl + {name}" and split.notes() == []
        alone = load_split(self.data(tmp_path, sampling_temperature=0.0), "train")
        assert alone.sizes == () and len(alone) == 1 and alone.fingerprint != split.fingerprint
        assert load_split(self.data(tmp_path, max_train_samples=1), "train").sizes == (1, 1)

    def test_prefixes_and_mistakes(self, tmp_path):
        file = tmp_path / "b.jsonl"
        assert self.data(tmp_path, other_prefixes=["tldr: "]).mixed == [(file, "tldr: ")]
        assert self.data(tmp_path).mixed == [(file, "summarize: ")]
        assert self.data(tmp_path, sampling_temperature=0.0).mixed == []
        with pytest.raises(UserError, match="--other_prefixes has 2 texts, and --other_train_files 1 files"):
            self.data(tmp_path, other_prefixes=["a", "b"])
        with pytest.raises(UserError, match="--sampling_temperature is given without --other_train_files"):
            DataSettings(sampling_temperature=2.0)
        with pytest.raises(UserError, match=r"--other_train_files names b\.txt: it must end in"):
            DataSettings(other_train_files="b.txt")
        with pytest.raises(UserError, match="--ranked_sentences learns from one set"):
            self.data(tmp_path, ranked_sentences=3)
        data = self.data(tmp_path)
        file.unlink()
        with pytest.raises(UserError, match=r"--other_train_files is .*b\.jsonl: there is no such file"):
            load_split(data, "train")
