"""The command line, as it is typed: what it makes, what it says, and how it ends."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.tiny import save_tiny_t5
from trainer.eval import main as score
from trainer.models.load import load_model
from trainer.runtime.environment import environment
from trainer.runtime.hardware import has_bf16
from trainer.scoring.records import Results
from trainer.settings.base import ROOT
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.train import main

TRAIN = ROOT / "trainer" / "train.py"
QUICK = ["--recipe", "smoke", "--max_source_length", "64", "--max_target_length", "24", "--max_new_tokens", "6"]
QUICK += ["--num_train_epochs", "1", "--bootstrap_samples", "100"]
# Nothing answers at port 9: whoever asks the network for anything is told so at once.
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("HF_ENDPOINT", "http_proxy", "https_proxy", "HTTPS_PROXY")}


def type_in(argv: list[str], cwd: Path, before=None, timeout: float = 300, **env: str) -> subprocess.CompletedProcess:
    """Runs a command line with one thread a process, without network and with an empty home."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(cwd / "home"), **NO_NETWORK, **env}
    process = subprocess.Popen(
        argv, cwd=cwd, env=env, text=True, stdout=-1, stderr=-1, preexec_fn=before, start_new_session=True
    )
    try:
        printed, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # torchrun's children too
        raise AssertionError(f"still running after {timeout} s: {process.communicate()}") from None
    return subprocess.CompletedProcess(argv, process.returncode, printed, errors)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> tuple[Path, str, float]:
    """(folder of the run, what was printed, processor seconds) of `--recipe smoke` typed in another folder, with no
    network."""
    folder = tmp_path_factory.mktemp("smoke")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = type_in([sys.executable, str(TRAIN), "--recipe", "smoke", "--output_dir", "run"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr and "it/s" not in done.stderr, "no bars where no terminal is"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return folder / "run", done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_smoke_takes_seconds(smoke):
    _, printed, seconds = smoke
    assert seconds < 60, "the recipe's promise; time of one core, so that a busy machine does not break it"
    for words in (
        "learning_rate               0.003",
        "28 steps of 4 pairs (7 an epoch)",
        "That should take",
        "Memory at the longest batch",
        "% of the summaries' tokens are <unk>, characters that the vocabulary lacks",
        "step 28 of 28, epoch 4.00: loss",
        "validation loss",
        "95% intervals",
    ):
        assert words in printed, words
    for system in ("t5-smoke-finetuned-smoke", "t5-smoke (start)", "lead-1", "lead-3", "random-1", "random-3"):
        assert f"\n{system}  " in printed


def test_smoke_learns(smoke):
    folder, _, _ = smoke
    trained = json.loads((folder / "trained.json").read_text())
    assert trained["last_loss"] < 0.85 * trained["first_loss"]
    losses = [entry["loss"] for entry in trained["evaluations"]]
    assert len(losses) == 4 and losses[-1] < losses[0]
    assert trained["best_value"] == max(entry["rouge1"] for entry in trained["evaluations"])


def test_the_finished_folder_is_whole_and_tells_nothing_of_this_machine(smoke):
    folder, _, _ = smoke
    names = {path.name for path in (folder / "model").iterdir()}
    assert names == {
        *("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
        *("results.json", "README.md"),
    }
    for path in (folder / "model").iterdir():
        content = path.read_bytes()
        assert str(folder).encode() not in content and str(ROOT).encode() not in content, path.name
    model = AutoModelForSeq2SeqLM.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    assert model.config.use_cache and model.dtype == torch.float32
    assert model.generation_config.max_new_tokens == 32 and model.generation_config.no_repeat_ngram_size == 3
    assert model.config.task_specific_params["summarization"] == {"prefix": "summarize: ", "max_source_length": 256}
    assert tokenizer.model_max_length == 256


def test_the_results_are_those_of_the_saved_model(smoke):
    folder, _, _ = smoke
    results = Results.load(folder / "model" / "results.json")
    names = [record.system for record in results.evaluations]
    assert names == ["t5-smoke-finetuned-smoke", "t5-smoke (start)", "lead-1", "lead-3", "random-1", "random-3"]
    assert results.settings["optimisation"]["learning_rate"] == 3e-3
    assert results.training["base_model"] is None and results.training["steps"] == 28
    assert [split["n"] for split in results.training["splits"]] == [28, 6]
    assert results.environment["packages"] == environment()["packages"]
    own = results.evaluations[0]
    assert own.data["split"] == "test" and own.data["n"] == 6 and own.decoding["no_repeat_ngram_size"] == 3
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 6 * len(names)
    rows = [json.loads(line) for line in (ROOT / "trainer/recipes/smoke/test.jsonl").read_text("utf-8").splitlines()]
    system = Seq2SeqSummarizer.from_pretrained(folder / "model")
    texts = [summary.text for summary in system.summarize([row["document"] for row in rows])]
    assert texts == [line["prediction"] for line in lines[:6]]


def test_the_kept_model_is_the_best_checkpoint(smoke):
    folder, _, _ = smoke
    best = json.loads((folder / "trained.json").read_text())["best_checkpoint"]
    kept, finished = load_file(folder / best / "model.safetensors"), load_file(folder / "model" / "model.safetensors")
    assert kept.keys() == finished.keys()
    assert all(torch.equal(kept[name], finished[name]) for name in kept)


def test_a_console_without_the_characters_ends_no_run(tmp_path):
    argv = [sys.executable, str(TRAIN), *QUICK, "--max_steps", "1", "--output_dir", "run"]
    done = type_in(argv, tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "? 100 on smoke/test.jsonl" in done.stdout and "Model, results and card are in" in done.stdout


def test_started_again_a_finished_run_says_so(smoke, tmp_path, capsys):
    folder = shutil.copytree(smoke[0], tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["--recipe", "smoke", "--output_dir", str(folder)]) == 0
    assert "This run is finished; its model is in" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    assert main(["--recipe", "smoke", "--output_dir", str(folder), "--learning_rate", "1"]) == 2
    said = capsys.readouterr().err
    assert "--learning_rate: 0.003 -> 1.0" in said and "--from_start" in said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    # A run that was killed while it was being scored is scored, not trained, when it is started again.
    shutil.rmtree(folder / "model")
    assert main(["--recipe", "smoke", "--output_dir", str(folder), "--no_baselines"]) == 0
    printed = capsys.readouterr().out
    assert "step 1 of" not in printed and "That should take" not in printed
    assert [record.system for record in Results.load(folder / "model" / "results.json").evaluations] == [
        "t5-smoke-finetuned-smoke"
    ]


def test_a_finished_run_takes_a_new_licence_and_refuses_a_language_that_is_none_of_its_texts(smoke, tmp_path, capsys):
    folder = shutil.copytree(smoke[0], tmp_path / "run")
    argv = ["--recipe", "smoke", "--output_dir", str(folder)]
    assert Results.load(folder / "model" / "results.json").training["language"] == "en"
    assert main([*argv, "--license", "mit"]) == 0
    assert "drawn anew with --license: apache-2.0 -> mit" in capsys.readouterr().out
    assert "license: mit" in (folder / "model" / "README.md").read_text("utf-8")
    assert main(argv) == 0
    assert "license: mit" in (folder / "model" / "README.md").read_text("utf-8"), "nothing else was asked for"
    assert main([*argv, "--language", "de"]) == 2
    assert "found to be in en" in capsys.readouterr().err
    # Before there is a model the texts themselves are asked.
    assert main([*QUICK, "--language", "de", "--output_dir", str(tmp_path / "new")]) == 2
    assert "of the training texts read as en (100%)" in capsys.readouterr().err


def test_a_finished_run_is_not_scored_otherwise_in_silence(smoke, tmp_path, capsys):
    folder = shutil.copytree(smoke[0], tmp_path / "run")
    argv = ["--recipe", "smoke", "--output_dir", str(folder)]
    pairs = ROOT / "trainer" / "recipes" / "smoke" / "test.jsonl"
    same, fewer = (tmp_path / name for name in ("same.jsonl", "fewer.jsonl"))
    shutil.copy(pairs, same)
    fewer.write_text("".join(pairs.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for flags, said in (
        (["--bootstrap_samples", "200"], "--bootstrap_samples: 1000 -> 200"),
        (["--no_baselines"], "--baselines: true -> false"),
        (["--save_dtype", "bf16"], '--save_dtype: "fp32" -> "bf16"'),
        (["--max_test_samples", "3"], "--max_test_samples: null -> 3"),
        (["--test_file", str(fewer)], '-> "fewer.jsonl", with other pairs'),
        (["--test_file", str(tmp_path / "none.jsonl")], "there is no such file"),
    ):
        assert main([*argv, *flags]) == 2, flags
        assert said in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert main([*argv, "--test_file", str(same), "--private", "--hub_model_id", "me/mine"]) == 0
    assert "--hub_model_id and --private are given without --push: nothing is published" in capsys.readouterr().out
    # What the sentence advises.
    (folder / "model").rename(folder / "model.before")
    assert main([*argv, "--no_baselines", "--max_test_samples", "3", "--bootstrap_samples", "200"]) == 0
    assert "step 1 of" not in capsys.readouterr().out
    (record,) = Results.load(folder / "model" / "results.json").evaluations
    assert record.data["n"] == 3


def test_from_start_leaves_a_folder_alone_that_is_no_run(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert main(["--recipe", "smoke", "--output_dir", str(tmp_path / "mine"), "--from_start"]) == 2
    assert "no run of this trainer's, so --from_start leaves it as it is" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_push_only_says_which_folder_it_needs(smoke, tmp_path, capsys):
    assert main(["--push_only", str(smoke[0])]) == 2
    assert f"that is a run. Its finished model is in {smoke[0] / 'model'}" in capsys.readouterr().err
    pairs = str(ROOT / "trainer" / "recipes" / "smoke" / "test.jsonl")
    assert score(["--systems", "lead-1", "--test_file", pairs, "--output_dir", str(tmp_path / "eval")]) == 0
    capsys.readouterr()
    assert main(["--push_only", str(tmp_path / "eval")]) == 2
    assert "that is an evaluation, which holds no model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--lerning_rate", "1"], "did you mean --learning_rate?"),
        (["--recipe", "smoke", "--train_file", "no.jsonl", "--validation_file", "no.jsonl"], "there is no such file"),
        (["--recipe", "smoke", "--source_column", "documnt"], "did you mean 'document'?"),
        (["--recipe", "smoke", "--from_scratch", "no.json"], "no T5 config can be read there"),
        (["--recipe", "smoke", "--model", "./no-such-folder"], "no folder here"),
        (["--recipe", "smoke", "--max_source_length", "4"], "--max_source_length is 4"),
        (["--push_only", "no-such-folder"], "no-such-folder"),
    ],
)
def test_what_is_wrong_ends_in_a_sentence(argv, said, tmp_path, capsys):
    assert main([*argv, "--output_dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_a_mended_command_works_in_the_same_folder(tmp_path, capsys, monkeypatch):
    """After an error in the data and one in the model; then from where the files were moved to, and with others."""
    monkeypatch.chdir(tmp_path)
    for name in ("train", "validation"):
        text = (ROOT / "trainer" / "recipes" / "smoke" / f"{name}.jsonl").read_text("utf-8")
        Path(f"{name}.jsonl").write_text(text.replace('"document":', '"body":'), "utf-8")
    argv = [*QUICK, "--no_baselines", "--output_dir", "run"]
    files = ["--train_file", "train.jsonl", "--validation_file", "validation.jsonl"]
    assert main([*argv, *files]) == 2
    assert "--source_column" in capsys.readouterr().err
    assert main([*argv, *files, "--source_column", "body", "--model", "./nothing"]) == 2
    assert "./nothing is no folder here" in capsys.readouterr().err
    argv += ["--source_column", "body"]
    assert main([*argv, *files]) == 0, capsys.readouterr().err
    Path("moved").mkdir()
    for name in ("train", "validation"):
        shutil.copy(f"{name}.jsonl", "moved")
    capsys.readouterr()
    files = ["--train_file", "moved/train.jsonl", "--validation_file", "moved/validation.jsonl"]
    assert main([*argv, *files]) == 0
    assert "This run is finished" in capsys.readouterr().out
    lines = Path("moved/train.jsonl").read_text("utf-8").splitlines(keepends=True)
    Path("moved/train.jsonl").write_text("".join(lines[1:]), "utf-8")
    assert main([*argv, *files]) == 2
    assert "The train pairs are not those that the run" in capsys.readouterr().err


def test_a_bad_row_stops_or_is_counted(tmp_path, capsys):
    files = {}
    for name in ("train", "validation"):
        files[name] = shutil.copy(ROOT / "trainer" / "recipes" / "smoke" / f"{name}.jsonl", tmp_path)
    with Path(files["train"]).open("a") as file:
        file.write('{"document": "An article.", "summary": ""}\n')
    argv = [*QUICK, "--train_file", files["train"], "--validation_file", files["validation"], "--no_baselines"]
    argv += ["--output_dir", str(tmp_path / "run")]
    assert main(argv) == 2
    assert "train.jsonl, line 29: column 'summary' is empty" in capsys.readouterr().err
    assert main([*argv, "--skip_bad_rows", "--from_start"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 29 rows skipped as bad" in printed
    results = Results.load(tmp_path / "run" / "model" / "results.json")
    assert results.training["splits"][0]["skipped"] == 1
    assert results.evaluations[0].data["split"] == "validation", "there is no test file"


def test_fine_tuning_a_folder_with_other_numbers_saved(tmp_path, capsys):
    """bf16 training where the machine has it, weights saved in bf16, and the scores those of the rounded weights."""
    start = save_tiny_t5(tmp_path / "base", seed=3)
    argv = [*QUICK, "--model", str(start), "--save_dtype", "bf16", "--precision", "bf16", "--optimizer", "adafactor"]
    assert main([*argv, "--group_by_length", "--num_beams", "2", "--output_dir", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert ("fp32 is used" in printed) == (not has_bf16())
    tensors = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    results = Results.load(tmp_path / "run" / "model" / "results.json")
    assert [record.system for record in results.evaluations][:2] == ["base-finetuned-smoke", "base (start)"]
    assert results.training["base_model"] == "base" and results.training["base_revision"] is None
    assert results.training["precision"] == ("bf16" if has_bf16() else "fp32")
    rows = [json.loads(line) for line in (ROOT / "trainer/recipes/smoke/test.jsonl").read_text("utf-8").splitlines()]
    system = Seq2SeqSummarizer.from_pretrained(tmp_path / "run" / "model")
    texts = [summary.text for summary in system.summarize([row["document"] for row in rows])]
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert texts == [line["prediction"] for line in lines[:6]]
    # The checkpoint it was made from keeps all bits.
    checkpoint, _, _ = load_model(tmp_path / "run" / results.training["best_checkpoint"])
    assert not torch.equal(checkpoint.shared.weight, tensors["shared.weight"].float())
    assert torch.equal(checkpoint.shared.weight.to(torch.bfloat16), tensors["shared.weight"])


def test_weights_that_overflow_stop_at_once(tmp_path, capsys):
    """A start model with a weight too large for its loss to be a number, through the whole command."""
    model, tokenizer, _ = load_model(save_tiny_t5(tmp_path / "base"))
    with torch.no_grad():
        model.decoder.final_layer_norm.weight.fill_(1e38)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    argv = [*QUICK, "--model", str(tmp_path / "base"), "--output_dir", str(tmp_path / "run")]
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert "no longer a number at step 1" in error and "There is no checkpoint yet" in error
    assert not (tmp_path / "run" / "model").exists()


def test_out_of_memory_says_what_needs_less(tmp_path):
    """A real shortage: the process may have 6 GB of addresses, and a batch of 28 with a wide vocabulary needs more."""
    config = json.loads((ROOT / "trainer" / "recipes" / "smoke" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_heads": 512}))
    argv = [sys.executable, str(TRAIN), *QUICK, "--from_scratch", "config.json", "--max_source_length", "1024"]
    argv += ["--train_batch_size", "28", "--output_dir", "run"]
    limit = 6 << 30
    done = type_in(argv, tmp_path, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert done.returncode == 1, done.stderr[-2000:]
    assert "Out of memory. There is no checkpoint yet" in done.stderr
    assert "--train_batch_size 14 --gradient_accumulation_steps 2" in done.stderr and "Traceback" not in done.stderr


def test_a_disk_that_fills_up(tmp_path):
    """A real one (a tmpfs in a mount namespace of our own), filled by somebody else after the first checkpoint."""
    (tmp_path / "disk").mkdir()
    command = f"{sys.executable} {TRAIN} {' '.join(QUICK)} --num_train_epochs 3 --save_total_limit 1 --output_dir run"
    script = f"""
        mount -t tmpfs -o size=16m none disk || exit 77
        cd disk
        (until test -e run/checkpoint-7/complete.json; do sleep 0.05; done; cat /dev/zero > filler) &
        {command} --no_baselines; test $? = 1 || exit 3
        rm filler; echo; echo "kept:" run/checkpoint-*/complete.json
        {command} --no_baselines --logging_steps 5 && cat run/trained.json
    """
    done = type_in(["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script], tmp_path)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "disk/run is full. checkpoint-" in done.stderr and "is whole. Free some space" in done.stderr
    kept = done.stdout.split("kept:")[1].split()[0].split("/")[1]
    assert f"Going on from {kept}." in done.stdout
    assert '"steps": 21,' in done.stdout


def test_two_processes_give_what_one_gives(tmp_path):
    """torchrun on the processor, each process with half the batch, seven batches of four for two: the odd one is not
    evened out with pairs that count twice.

    Tolerances: losses 0.1% (sums are taken in another order), ROUGE 0.02 (an almost equal choice of a token can turn
    over).
    """
    one = ["--recipe", "smoke", "--train_batch_size", "8", "--num_train_epochs", "3"]
    assert main([*one, "--output_dir", str(tmp_path / "one")]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    two = ["--recipe", "smoke", "--num_train_epochs", "3", "--output_dir", "two"]
    done = type_in([*torchrun, str(TRAIN), *two], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("That should take") == 1, "only the first process speaks"
    trained = [json.loads((tmp_path / name / "trained.json").read_text()) for name in ("one", "two")]
    assert [record["processes"] for record in trained] == [1, 2]
    for name in ("pairs_per_step", "steps", "best_step"):
        assert trained[0][name] == trained[1][name], name
    logs = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(logs[0]) == len(logs[1]), "written once"
    for ours, theirs in zip(*logs, strict=True):
        for name in {"step", "loss", "grad_norm", "learning_rate", "eval_loss"} & ours.keys():
            assert theirs[name] == pytest.approx(ours[name], rel=1e-3), (name, ours["step"])
        for name in {"eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rougeLsum"} & ours.keys():
            assert theirs[name] == pytest.approx(ours[name], abs=0.02), (name, ours["step"])
    assert trained[0]["best_value"] > 0.01, "or the comparison of scores says nothing"
    figures = [Results.load(tmp_path / name / "model" / "results.json").evaluations[0] for name in ("one", "two")]
    for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        ours, theirs = (record.metrics[f"{kind}_fmeasure"].value for record in figures)
        assert theirs == pytest.approx(ours, abs=0.02)
