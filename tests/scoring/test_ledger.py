"""Examples and predictions on the disk."""

import pytest

from trainer.data.splits import Example
from trainer.errors import UserError
from trainer.scoring.ledger import Ledger, Spool, append_lines, mend


class TestLedger:
    def test_the_spool_is_a_sequence_on_the_disk(self, tmp_path):
        spool = Spool.create(tmp_path / "s.jsonl")
        examples = [Example(str(n), f"source\n{n} é", f"target {n}") for n in range(5)]
        for number, example in enumerate(examples):
            spool.label = f"l{number}"
            spool.append(example)
        assert list(spool) == examples and len(spool) == 5
        assert (spool[3], spool[-1], spool[1:3]) == (examples[3], examples[4], examples[1:3])
        assert [label for _, label in spool.labelled()] == ["l0", "l1", "l2", "l3", "l4"]
        assert [len(block) for block in spool.blocks(2)] == [2, 2, 1]
        spool.close()
        again = Spool.open(tmp_path / "s.jsonl")
        assert list(again) == examples and again[2] == examples[2]
        with pytest.raises(IndexError):
            again[5]

    @pytest.mark.parametrize("torn", [b'{"system": "a", "ro', b'{"system": "a"}', b"\0\0\0\0", b'{"x": "\n'])
    def test_a_torn_last_line_is_cut_off(self, tmp_path, torn):
        path = tmp_path / "p.jsonl"
        append_lines(path, [{"system": "a", "row": n} for n in range(3)])
        whole = path.read_bytes()
        path.write_bytes(whole + torn)
        assert mend(path) == len(torn)
        assert path.read_bytes() == whole and mend(path) == 0

    def test_rows_are_found_in_several_files_and_the_later_line_counts(self, tmp_path):
        append_lines(tmp_path / "a", [{"system": "x", "row": 2, "v": 1}, {"system": "y", "row": 0, "v": 2}])
        append_lines(tmp_path / "b", [{"system": "x", "row": 0, "v": 3}, {"system": "x", "row": 2, "v": 4}])
        ledger = Ledger(3)
        ledger.scan([tmp_path / "a", tmp_path / "b"], ["x"])
        assert ledger.done("x").tolist() == [True, False, True]
        assert [one["v"] for one in ledger.records("x")] == [3, 4]
        assert [one["v"] for one in ledger.records("x", [2, 0])] == [4, 3]
        assert not ledger.done("y").any()

    def test_a_broken_line_in_the_middle_is_named(self, tmp_path):
        (tmp_path / "a").write_bytes(b'{"system": "x", "row": 0}\nnonsense\n{"system": "x", "row": 1}\n')
        with pytest.raises(UserError, match="a, line 2 is broken"):
            Ledger(2).scan([tmp_path / "a"])
