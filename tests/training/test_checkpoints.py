"""Which checkpoints count, which are kept, and which run a folder is."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.tiny import save_tiny_t5
from tests.training.runs import settings_for
from trainer.errors import UserError
from trainer.training.checkpoints import (
    TrainingRun,
    checkpoints,
    is_intact,
    is_whole,
    read_notes,
    rotate,
    seal,
    step_of,
    sweep,
)


def fake_checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
        (path / name).write_text(f"{name} {step}" * 10)
    return path


def test_a_checkpoint_is_whole_only_as_it_was_sealed(tmp_path):
    path = fake_checkpoint(tmp_path, 5)
    assert not is_whole(path)
    seal(path, seconds=1.5)
    assert is_whole(path)
    for change in (
        lambda: (path / "optimizer.pt").write_text("cut"),
        lambda: (path / "optimizer.pt").unlink(),
        lambda: (path / "complete.json").write_text("{"),
        lambda: (path / "complete.json").write_text("[]"),
        lambda: (path / "complete.json").write_text('{"files": {}}'),
        lambda: (path / "complete.json").unlink(),
    ):
        shutil.rmtree(path)
        seal(fake_checkpoint(tmp_path, 5), seconds=1.5)
        assert is_whole(path)
        change()
        assert not is_whole(path) and checkpoints(tmp_path) == []
    assert sweep(tmp_path) == [path] and not path.exists()


def flip_a_byte(file: Path) -> None:
    """As a failing disk does it: the size stays."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_checkpoint_is_intact_only_with_the_bytes_that_were_written(tmp_path):
    path = fake_checkpoint(tmp_path, 5)
    assert not is_intact(path)
    seal(path, seconds=1.5)
    assert is_intact(path) and read_notes(path) == {"seconds": 1.5}
    flip_a_byte(path / "optimizer.pt")
    assert is_whole(path) and not is_intact(path)
    flip_a_byte(path / "optimizer.pt")
    assert is_intact(path)
    # One of a version that had no digests yet: its sizes count.
    manifest = json.loads((path / "complete.json").read_text())
    del manifest["sha256"]
    (path / "complete.json").write_text(json.dumps(manifest))
    assert is_intact(path) and read_notes(path) == {"seconds": 1.5}


def test_damaged_checkpoints_are_not_gone_on_from(tmp_path, capsys):
    run = TrainingRun.open(settings_for(tmp_path))
    for step in (2, 4, 6, 8):
        seal(fake_checkpoint(tmp_path, step))
    for step in (2, 6, 8):
        flip_a_byte(tmp_path / f"checkpoint-{step}" / "model.safetensors")
    assert run.last_checkpoint.name == "checkpoint-8"
    run = TrainingRun.open(settings_for(tmp_path))
    assert run.last_checkpoint.name == "checkpoint-4", "the newest that holds what was written"
    said = capsys.readouterr().out
    assert "checkpoint-8 holds other bytes than were written" in said and "checkpoint-6 holds" in said
    assert run.intact_checkpoint(4) == tmp_path / "checkpoint-4"
    for step in (2, 6):  # damaged, and gone
        with pytest.raises(UserError, match=rf"checkpoint-{step} is the best checkpoint.*--from_start"):
            run.intact_checkpoint(step)


def test_weights_have_the_mode_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        save_tiny_t5(tmp_path / "checkpoint-1")
        seal(tmp_path / "checkpoint-1")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "checkpoint-1").iterdir()}
    assert modes["model.safetensors"] == 0o640
    assert set(modes.values()) == {0o640}


def test_rotation_keeps_the_newest_and_the_best(tmp_path):
    for step in (2, 10, 8, 30):
        seal(fake_checkpoint(tmp_path, step))
    fake_checkpoint(tmp_path, 40)  # being written, or cut short: doesn't count, isn't touched
    (tmp_path / "checkpoint-notes").mkdir()
    rotate(tmp_path, keep=2, best_step=2)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [2, 10, 30], "by number, not by name or date"
    rotate(tmp_path, keep=1, best_step=30)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [30]
    rotate(tmp_path, keep=0, best_step=None)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [30], "never the last one"
    assert (tmp_path / "checkpoint-40").is_dir() and (tmp_path / "checkpoint-notes").is_dir()


def test_a_run_goes_on_only_with_its_own_settings(tmp_path, capsys):
    folder = tmp_path / "run"
    run = TrainingRun.open(settings_for(folder, "--seed", "1"))
    run.check_data({"train": "aa", "validation": "bb"})
    seal(fake_checkpoint(folder, 2))
    assert TrainingRun.open(settings_for(folder, "--seed", "1", "--push", "--save_every", "7")) == run
    with pytest.raises(UserError) as error:
        TrainingRun.open(settings_for(folder, "--seed", "2", "--num_beams", "4"), processes=2)
    said = str(error.value)
    assert "--seed: 1 -> 2" in said and "--num_beams: 1 -> 4" in said and "processes: 1 -> 2" in said
    assert "learning_rate" not in said and "--from_start" in said
    run.check_data({"train": "aa", "validation": "bb"})
    with pytest.raises(UserError, match="The validation pairs are not those"):
        run.check_data({"train": "aa", "validation": "cc"})

    seal(fake_checkpoint(folder, 3))
    fake_checkpoint(folder, 6)
    run = TrainingRun.open(settings_for(folder, "--seed", "1"))
    assert run.last_checkpoint.name == "checkpoint-3"
    assert "checkpoint-6 was cut short" in capsys.readouterr().out

    (folder / "model").mkdir()
    (folder / "model" / "results.json").write_text("precious")
    run = TrainingRun.open(settings_for(folder, "--seed", "2", "--from_start"))
    assert run.last_checkpoint is None and not run.finished
    assert (tmp_path / "run.old-1" / "model" / "results.json").read_text() == "precious"
    TrainingRun.open(settings_for(folder, "--seed", "3", "--from_start"))
    assert (tmp_path / "run.old-2" / "settings.json").is_file()


def test_a_folder_in_which_nothing_was_trained_is_taken_over(tmp_path):
    run = TrainingRun.open(settings_for(tmp_path, "--seed", "1"))
    run.check_data({"train": "aa", "validation": "bb"})
    run.vocabulary.mkdir()
    fake_checkpoint(tmp_path, 3)  # cut short, so there is nothing to go on from
    run = TrainingRun.open(settings_for(tmp_path, "--seed", "2"), processes=2)
    assert not run.vocabulary.exists(), "it may be of other texts"
    run.check_data({"train": "cc", "validation": "bb"})
    seal(fake_checkpoint(tmp_path, 3))
    with pytest.raises(UserError, match="--seed: 2 -> 1"):
        TrainingRun.open(settings_for(tmp_path, "--seed", "1"), processes=2)
    with pytest.raises(UserError, match="The train pairs are not those"):
        run.check_data({"train": "aa", "validation": "bb"})


def test_files_of_pairs_are_known_by_their_texts_wherever_they_lie(tmp_path):
    def named(train: str):
        return settings_for(tmp_path / "run", "--train_file", train, "--validation_file", "held_out.jsonl")

    run = TrainingRun.open(named("pairs.jsonl"))
    run.check_data({"train": "aa", "validation": "bb"})
    seal(fake_checkpoint(run.folder, 3))
    assert not run.names_other_files(named("pairs.jsonl").data)
    elsewhere = named("/elsewhere/pairs.jsonl")
    assert TrainingRun.open(elsewhere).last_checkpoint.name == "checkpoint-3"
    assert run.names_other_files(elsewhere.data)
    with pytest.raises(UserError, match=r"--train_file: .*pairs.jsonl.* -> null"):
        TrainingRun.open(settings_for(tmp_path / "run", "--dataset", "EdinburghNLP/xsum"))


def test_a_start_model_is_known_wherever_it_lies(tmp_path, monkeypatch):
    """By two spellings of its path, and by its bytes: of a copy, and of one that is another."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("start", "{}"), ("copy", "{}"), ("other", '{"d_model": 8}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    for flag in ("--model", "--tokenizer", "--from_scratch"):
        run = TrainingRun.open(settings_for(tmp_path / flag, flag, "start"))
        seal(fake_checkpoint(run.folder, 3))
        for same in ("./start", str(tmp_path / "start"), "copy"):
            assert TrainingRun.open(settings_for(run.folder, flag, same)) == run
        for name in ("other", "gone"):
            with pytest.raises(UserError, match=rf"{flag}: .*start.* -> .*{name}"):
                TrainingRun.open(settings_for(run.folder, flag, name))


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "mine" / "vocabulary").mkdir(parents=True)
    with pytest.raises(UserError, match="no run of this trainer's"):
        TrainingRun.open(settings_for(tmp_path / "mine"))
    assert (tmp_path / "mine" / "vocabulary").is_dir()
    seal(fake_checkpoint(tmp_path, 3))
    with pytest.raises(UserError, match="no run of this trainer's"):
        TrainingRun.open(settings_for(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be made"):
        TrainingRun.open(settings_for(tmp_path / "file"))


def test_metrics_of_steps_that_are_done_again_are_cut_off(tmp_path):
    run = TrainingRun.open(settings_for(tmp_path))
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in (1, 2, 3, 4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 5, "lo')
    run.forget_after(3)
    kept = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in kept] == [1, 2, 3]
