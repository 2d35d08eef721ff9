"""trainer/eval.py as it is typed: what it writes, how it goes on after a kill, and what it says to bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub.double import Hub
from tests.scoring.ways import directly
from tests.tiny import SMOKE, save_tiny_t5
from trainer.data.splits import Example, Split
from trainer.errors import UserError
from trainer.eval import main
from trainer.metrics.registry import METRIC_NAMES, METRICS
from trainer.report.sections import markdown
from trainer.scoring.analysis import warnings
from trainer.scoring.columns import Columns
from trainer.scoring.jobs import plan
from trainer.scoring.measure import data_record
from trainer.scoring.predictions import figure_kinds, predictions_of
from trainer.scoring.records import Results
from trainer.settings.base import ROOT
from trainer.settings.evaluation import DEFAULT_METRICS, EvalSettings, eval_parser
from trainer.summarizers.base import Summary
from trainer.summarizers.extractive import LeadN, RandomN
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

EVAL = ROOT / "trainer" / "eval.py"

QUICK = ["--bootstrap_samples", "100", "--test_samples", "200", "--examples", "2"]

NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("HF_ENDPOINT", "http_proxy", "https_proxy", "HTTPS_PROXY")}


def pairs() -> list[dict]:
    return [json.loads(line) for name in ("train", "test") for line in (SMOKE / f"{name}.jsonl").open("rb")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """34 pairs, the first of which has an id that HTML must escape."""
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    rows = pairs()
    rows[0]["id"] = "<script>alert(1)</script>"
    path.write_text("".join(json.dumps(row | {"topic": f"t{n % 2}"}) + "\n" for n, row in enumerate(rows)), "utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny model whose tokens are drawn nearly evenly, so that its samples differ."""
    return save_tiny_t5(tmp_path_factory.mktemp("models") / "tiny")


def arguments(data: Path, out: Path, systems: str, *more: str) -> list[str]:
    return ["--systems", systems, "--test_file", str(data), "--output_dir", str(out), *QUICK, *more]


def records(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").open("rb")]


@pytest.fixture(scope="module")
def done(data, model, tmp_path_factory) -> tuple[Path, list[str], str]:
    """(folder, arguments, printed) of a run with a model, baselines, the oracle and a model that is not there."""
    import contextlib
    import io

    out = tmp_path_factory.mktemp("done") / "out"
    systems = f"lead-3,random,oracle,{model},{model.parent / 'nothing'}"
    (model.parent / "nothing").mkdir(exist_ok=True)
    argv = arguments(data, out, systems, "--max_new_tokens", "8", "--block_size", "10", "--topic_column", "topic")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(argv) == 0
    return out, argv, printed.getvalue()


class TestRun:
    def test_everything_is_written(self, done):
        out, _, printed = done
        names = {path.name for path in out.iterdir() if path.name != "work"}
        assert names == {
            *("results.json", "predictions.jsonl", "report.md", "report.html", "examples.html"),
            *("plots", "run.json", "timings.jsonl"),
        }
        found = records(out)
        assert [(one["system"], one["row"]) for one in found] == [
            (system, row) for system in ("lead-3", "random-1", "oracle", "tiny") for row in range(34)
        ]
        for key in ("id", "prediction", "reference", "scores", "finished", "tokens_read"):
            assert all(key in one for one in found)
        assert {"rouge1_fmeasure", "bleu", "chrf", "missing_point_share"} <= found[0]["scores"].keys()
        assert "lead-3 " in printed and "oracle (bound)" in printed
        assert "Only 34 examples" in printed
        assert "XSum's whole test split (11,334) would take" in printed

    def test_figures_are_those_of_a_plain_computation(self, done, data, model):
        """Streamed block by block, through JSON and back, nothing changes: values, intervals, signatures, n."""
        out, _, _ = done
        examples = [Example(row["id"], row["document"], row["summary"]) for row in map(json.loads, data.open("rb"))]
        split = Split("test", examples, dataset=f"{data.parent.name}/{data.name}")
        found = {one.system: one for one in Results.load(out / "results.json").evaluations}
        small = Seq2SeqSummarizer.from_pretrained(model, name="tiny", generation={"max_new_tokens": 8})
        for system in (LeadN(3), RandomN(1, 42), small):
            metrics = [METRICS[name] for name in DEFAULT_METRICS.split(",")]
            figures, texts = directly(system, split, metrics, 100, 42, block_size=10)
            about = system.describe()
            record = found[about["system"]]
            assert record.metrics == figures and list(record.metrics) == list(figures)
            assert record.data == data_record(split, 34)
            assert record.decoding == about["decoding"]
            assert [one["prediction"] for one in records(out) if one["system"] == about["system"]] == texts

    def test_a_model_that_can_not_be_had_costs_its_row(self, done):
        out, _, printed = done
        analysis = Results.load(out / "results.json").analysis
        (failed,) = analysis["failed"]
        assert failed["system"] == "nothing" and "config.json" in failed["reason"]
        assert f"No row for nothing: {failed['reason']}" in printed
        assert failed["reason"] in (out / "report.md").read_text("utf-8")

    def test_the_oracle_and_cited_figures_are_in_no_test(self, done):
        analysis = Results.load(done[0] / "results.json").analysis
        assert analysis["bounds"] == ["oracle"]
        compared = {one[key] for one in analysis["comparisons"] for key in ("system", "baseline")}
        assert compared == {"lead-3", "random-1", "tiny"}
        assert {one["metric"] for one in analysis["comparisons"]} == {
            "rouge1_fmeasure",
            "rouge2_fmeasure",
            "rougeL_fmeasure",
        }
        assert all(one["comparisons"] == 2 for one in analysis["comparisons"])

    def test_topics_come_from_the_column(self, done):
        families = {one["name"]: one for one in Results.load(done[0] / "results.json").analysis["slices"]["families"]}
        assert [(one["name"], one["n"]) for one in families["topic"]["slices"]] == [("t0", 17), ("t1", 17)]

    def test_again_nothing_is_done_and_nothing_changes(self, done, capsys):
        out, argv, _ = done
        before = {name: (out / name).read_bytes() for name in ("predictions.jsonl", "report.md", "report.html")}
        assert main(argv) == 0
        assert "(34 are there)" in capsys.readouterr().out
        assert before == {name: (out / name).read_bytes() for name in before}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (["--max_new_tokens", "9"], "--max_new_tokens: 8 -> 9"),
            (["--seed", "1"], "--seed: 42 -> 1"),
            (["--metrics", "rouge,lengths"], "--metrics: "),
            (["--max_samples", "5"], "--max_samples: null -> 5"),
            (["--systems", "lead-3"], "also holds random-1, oracle, tiny, nothing: name them too"),
        ],
    )
    def test_other_settings_are_refused_with_the_difference(self, done, change, message, capsys):
        assert main([*done[1], *change]) == 2
        said = capsys.readouterr().err
        assert message in said and "begin anew with --from_start" in said

    def test_another_model_of_the_same_name_is_refused(self, data, tmp_path, capsys):
        folder = save_tiny_t5(tmp_path / "m")
        argv = arguments(data, tmp_path / "out", str(folder), "--max_new_tokens", "3", "--max_samples", "12")
        argv += ["--block_size", "6", "--metrics", "rouge"]
        assert main(argv) == 0
        kept = (tmp_path / "out" / "predictions.jsonl").read_bytes().splitlines(keepends=True)[:6]
        (tmp_path / "out" / "predictions.jsonl").write_bytes(b"".join(kept))
        save_tiny_t5(folder, seed=1)
        assert main(argv) == 2
        assert "m is not what it was when this run began:\n  weights: " in capsys.readouterr().err

    def test_a_system_may_be_added(self, data, tmp_path):
        out = tmp_path / "out"
        assert main(arguments(data, out, "lead-1", "--metrics", "rouge", "--slices", "none")) == 0
        first = (out / "predictions.jsonl").read_bytes()
        more = ["--metrics", "rouge", "--slices", "none", "--compare_to", "lead-1"]
        assert main(arguments(data, out, "lead-1,lead-3", *more)) == 0
        assert (out / "predictions.jsonl").read_bytes().startswith(first)
        (one, *_) = Results.load(out / "results.json").analysis["comparisons"]
        assert (one["system"], one["baseline"]) == ("lead-3", "lead-1")

    def test_metrics_that_need_an_encoder(self, data, model, tmp_path):
        out = tmp_path / "out"
        more = ["--metrics", "rouge,embedding,bertscore,wmd", "--encoder", str(model), "--max_samples", "6"]
        assert main(arguments(data, out, "lead-1", *more, "--slices", "none")) == 0
        metrics = Results.load(out / "results.json").evaluations[0].metrics
        for name in ("embedding_similarity", "bertscore_fmeasure", "word_movers_distance"):
            assert metrics[name].n == 6 and "encoder:tiny" in metrics[name].signature

    def test_all_failed(self, data, tmp_path, capsys):
        (tmp_path / "empty").mkdir()
        assert main(arguments(data, tmp_path / "out", str(tmp_path / "empty"))) == 1
        assert "No system could be scored" in capsys.readouterr().err


def test_killed_it_goes_on_and_ends_with_the_same(data, model, tmp_path):
    """SIGKILL in the middle and a torn last line; then the same command makes what an undisturbed run makes."""
    more = [
        "--max_new_tokens",
        "40",
        "--block_size",
        "4",
        "--batch_size",
        "2",
        "--do_sample",
        "true",
        "--slices",
        "none",
    ]
    more += ["--metrics", "rouge,bleu"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = [sys.executable, EVAL, *arguments(data, cut, f"lead-1,{model}", *more)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", **NO_NETWORK}, stdout=-1
    )
    part = cut / "work" / "predictions.rank0.jsonl"
    deadline = time.monotonic() + 240
    while not part.is_file() or part.read_bytes().count(b"\n") < 34 + 8:
        assert process.poll() is None and time.monotonic() < deadline, process.stdout.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    made = part.read_bytes()
    assert made.count(b"\n") < 68, "killed too late to prove anything"
    assert not (cut / "results.json").exists()
    last = made[: made.rindex(b"\n", 0, -1) + 1]
    part.write_bytes(made[: len(last) + 20])  # as if the kill had come in the middle of a write
    assert main(arguments(data, cut, f"lead-1,{model}", *more)) == 0
    assert main(arguments(data, whole, f"lead-1,{model}", *more)) == 0
    assert (cut / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    once, again = (Results.load(out / "results.json") for out in (whole, cut))
    assert [one.metrics for one in once.evaluations] == [one.metrics for one in again.evaluations]
    assert once.analysis["comparisons"] == again.analysis["comparisons"]
    assert not (cut / "work").exists()
    texts = {one["prediction"] for one in records(cut) if one["system"] == "tiny"}
    assert len(texts) > 10  # the model did draw


def test_two_processes_make_the_records_of_one(data, model, tmp_path):
    more = ["--max_new_tokens", "6", "--block_size", "5", "--metrics", "rouge,bleu,lengths", "--slices", "length"]
    systems = f"lead-3,{model},{model.parent / 'nothing'}"
    (model.parent / "nothing").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(EVAL)]
    run = subprocess.run(
        [*command, *arguments(data, tmp_path / "two", systems, *more)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", **NO_NETWORK},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("lead-3: 34 articles") == 1
    assert main(arguments(data, tmp_path / "one", systems, *more)) == 0
    assert (tmp_path / "two" / "predictions.jsonl").read_bytes() == (
        tmp_path / "one" / "predictions.jsonl"
    ).read_bytes()
    two, one = (Results.load(tmp_path / name / "results.json") for name in ("two", "one"))
    assert [record.metrics for record in two.evaluations] == [record.metrics for record in one.evaluations]
    for name in ("failed", "comparisons", "slices"):
        assert two.analysis[name] == one.analysis[name]
    timings = [json.loads(line) for line in (tmp_path / "two" / "timings.jsonl").open()]
    assert {line["processes"] for line in timings} == {2} and len(timings) == 14


def test_from_the_hub(tmp_path):
    """An alias with columns of its own, lists of sentences, several references, and a model at a revision."""
    rows = [
        {"paper_id": f"p{n}", "source": row["document"].split(". "), "target": [row["summary"], "Another."]}
        for n, row in enumerate(pairs()[:12])
    ]
    with Hub() as hub:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
        readme = "---\nconfigs:\n- config_name: Abstract\n  data_files:\n  - split: test\n"
        readme += "    path: Abstract/test.parquet\n---\n"
        files = {"Abstract/test.parquet": tmp_path / "test.parquet", "README.md": readme.encode()}
        commit = hub.put("dataset", "allenai/scitldr", files)
        saved = save_tiny_t5(tmp_path / "tiny")
        sha = hub.put("model", "user/tiny", {path.name: path for path in saved.iterdir()})
        systems = f"lead-1,user/tiny@{sha[:8]},user/absent"
        command = [sys.executable, EVAL, "--systems", systems, "--dataset", "scitldr", "--output_dir", "out", *QUICK]
        run = subprocess.run(
            [*command, "--max_new_tokens", "4"],
            cwd=tmp_path,
            env={**os.environ, **hub.env(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert run.returncode == 0, run.stderr
    assert "12 rows have several references; the first of each counts" in run.stdout
    results = Results.load(tmp_path / "out" / "results.json")
    assert [one.system for one in results.evaluations] == ["lead-1", f"user/tiny@{sha[:8]}"]
    assert results.evaluations[1].revision == sha
    data = results.evaluations[0].data
    assert (data["dataset"], data["config"], data["revision"], data["n"]) == ("allenai/scitldr", "Abstract", commit, 12)
    assert [row["system"] for row in results.analysis["failed"]] == ["user/absent"]
    first = json.loads((tmp_path / "out" / "predictions.jsonl").open("rb").readline())
    assert (first["id"], first["reference"]) == ("p0", rows[0]["target"][0])


def test_audit(data, model, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["--audit", str(model), "--audit_samples", "1", "--test_file", str(data), "--output_dir", str(out), *QUICK]
    assert main([*argv, "--metrics", "rouge,lengths"]) == 0
    analysis = Results.load(out / "results.json").analysis
    assert len(analysis["audit"]) == 15
    decoded = [one["decoding"] for one in analysis["audit"]]
    assert {one["max_new_tokens"] for one in decoded} == {20, 64, 128}
    assert {(one["num_beams"], one["length_penalty"]) for one in decoded if one["num_beams"] == 4} == {
        (4, 0.6),
        (4, 1.0),
        (4, 2.0),
    }
    sampled = [one for one in analysis["audit"] if one["decoding"].get("do_sample")]
    assert len(sampled) == 3 and all(one["seed"] == 42 for one in sampled)
    assert all(one["data"]["n"] == 1 for one in analysis["audit"])
    assert "beam 4, length penalty 0.6" in capsys.readouterr().out
    text = (out / "report.md").read_text("utf-8")
    assert "Why published numbers differ" in text and (out / "plots" / "audit.svg").is_file()
    with pytest.raises(UserError, match="name a model"):
        plan(EvalSettings.parse(["--audit", "lead-3", "--test_file", "x.jsonl", "--output_dir", "o"]).system, {})


class TestBadInput:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--systems", "led-3"], "did you mean 'lead-3'?"),
            (["--metrics", "rogue"], "there is no metric 'rogue': did you mean rouge?"),
            (["--compare_by", "rouge1_f"], "did you mean rouge1_fmeasure?"),
            (["--metrics", "rouge,entailment"], "name one with --nli"),
            (["--slice_by", "bleuh"], "did you mean bleu?"),
            (["--compare_to", "lead-4"], "there is no system 'lead-4': did you mean lead-1?"),
            (["--slices", "lenght"], "did you mean length?"),
            (["--systems", ""], "--systems is empty"),
            (["--systems", "lead-1,lead-1"], "names lead-1 twice"),
            (["--systems", "random,random-1"], "would be called random-1"),
            (["--dataset", "xsum"], "Say what to evaluate on"),
            (["--num_beam", "4"], "did you mean --num_beams?"),
            (["--num_beams", "0"], "--num_beams is 0: it must be at least 1"),
            (["--target_column", "headline"], "without that column nothing can be measured"),
            (["--topic_column", "subject"], "no row of"),
            (["--test_file", "there/is/none.jsonl"], "there is no such file"),
        ],
    )
    def test_a_sentence_and_exit_code_2(self, data, tmp_path, argv, message, capsys):
        assert main([*arguments(data, tmp_path / "out", "lead-1"), *argv]) == 2
        assert message in capsys.readouterr().err

    def test_an_empty_reference_is_no_missing_column(self, tmp_path, capsys):
        (tmp_path / "pairs.jsonl").write_text('{"document": "The mill burnt.", "summary": ""}\n')
        assert main(arguments(tmp_path / "pairs.jsonl", tmp_path / "out", "lead-1")) == 2
        said = capsys.readouterr().err
        assert "column 'summary' is empty" in said and "without that column" not in said

    @pytest.mark.parametrize(("name", "near"), [("xum:test", "xsum"), ("xsum:tets", "test")])
    def test_data_sets(self, tmp_path, name, near, capsys):
        assert main(["--systems", "lead-1", "--dataset", name, "--output_dir", str(tmp_path / "out")]) == 2
        assert f"did you mean {near}?" in capsys.readouterr().err

    def test_a_folder_with_other_files_is_left_alone(self, data, tmp_path, capsys):
        (tmp_path / "notes.txt").write_text("mine")
        assert main(arguments(data, tmp_path, "lead-1")) == 2
        assert "holds files, but no evaluation" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_help_is_a_page(self):
        page = eval_parser().format_help()
        for word in (*METRIC_NAMES, "mbr:a+b", "edge cases", "torchrun", "predictions.jsonl"):
            assert word in page
        assert "huggingface" not in page

    def test_empty_and_overlong_predictions_have_defined_values(self):
        examples = [Example("a", "One two.", "One two three."), Example("b", "Four.", "Four five.")]
        summaries = [Summary("", None, 1, 1), Summary("Four and then five.", None, 1, 1)]
        metrics = [metric for metric in METRICS.values() if metric.pools is None]
        made = [one.to_dict() for one in predictions_of("s", 7, examples, summaries, metrics)]
        empty, long = (one["scores"] for one in made)
        assert [one["row"] for one in made] == [7, 8]
        assert (empty["rouge1_fmeasure"], empty["bleu"], empty["chrf"], empty["overlap_fmeasure"]) == (0, 0, 0, 0)
        assert (empty["empty_share"], empty["compression"], empty["coverage"]) == (1.0, None, None)
        assert (empty["overlong_share"], long["overlong_share"]) == (0.0, 1.0)
        figures = Columns(figure_kinds(metrics), 9).fill(made).figures()
        assert figures["compression"].n == 1 and figures["empty_share"].n == 2
        json.dumps(made, allow_nan=False)

    def test_small_data_is_warned_of(self):
        compared = [{"comparisons": 3, "p_bootstrap_holm": 0.2, "p_randomization_holm": 0.01}]
        said = warnings(5, compared)
        assert said[0].startswith("Only 5 examples") and "5 examples can't tell any systems apart" in said[1]
        assert said[2].startswith("1 of 1 comparisons show no difference")
        assert warnings(500, [{"comparisons": 3, "p_bootstrap_holm": 0.01, "p_randomization_holm": 0.01}]) == []


def test_real_articles_agree_with_the_direct_way(shared_data, tmp_path):
    """Forty CNN articles (lower case, ids empty), through the command line and by a plain computation."""
    path = shared_data / "cnn_dailymail" / "test.jsonl"
    out = tmp_path / "out"
    assert main(arguments(path, out, "lead-3,textrank", "--max_samples", "40", "--metrics", "rouge,lengths")) == 0
    rows = [json.loads(line) for line, _ in zip(path.open("rb"), range(40), strict=False)]
    split = Split("test", [Example("", row["document"], row["summary"]) for row in rows], dataset="cnn")
    direct, _ = directly(LeadN(3), split, [METRICS["rouge"]], 100, 42, block_size=64)
    results = Results.load(out / "results.json")
    assert results.evaluations[0].metrics["rougeLsum_fmeasure"] == direct["rougeLsum_fmeasure"]
    assert any("no capitalised names" in note for note in results.analysis["slices"]["notes"])
    assert (out / "report.md").read_text("utf-8") == markdown(results)
    assert np.isclose(sum(row["n"] for row in results.analysis["slices"]["families"][0]["slices"]), 40)


@pytest.mark.parametrize(
    "flags", [["--compare_by", ""], ["--metrics", "bleu"], ["--metrics", "bleu", "--compare_by", ""]]
)
def test_nothing_to_compare_by_and_a_metric_alone_end_no_run(data, tmp_path, flags, capsys):
    argv = [
        "--systems",
        "lead-1,lead-3",
        "--test_file",
        str(data),
        "--output_dir",
        str(tmp_path / "run"),
        *QUICK,
        *flags,
    ]
    assert main(argv) == 0, capsys.readouterr().err
    results = Results.load(tmp_path / "run" / "results.json")
    figures = {one["metric"] for one in results.analysis["comparisons"]}
    assert figures == (set() if "--compare_by" in flags else {"bleu"})


def test_a_mended_command_works_in_the_same_folder(data, tmp_path, capsys, monkeypatch):
    """After an error in the data and one in a model; then from where the pairs were moved to, and with others."""
    monkeypatch.chdir(tmp_path)
    text = data.read_text("utf-8").replace('"document":', '"body":')
    Path("pairs.jsonl").write_text(text, "utf-8")
    argv = ["--output_dir", "out", *QUICK, "--metrics", "rouge", "--slices", "none", "--max_samples", "6"]
    here = [*argv, "--test_file", "pairs.jsonl"]
    assert main([*here, "--systems", "lead-1"]) == 2
    assert "--source_column names another" in capsys.readouterr().err
    argv, here = [*argv, "--source_column", "body"], [*here, "--source_column", "body"]
    Path("empty").mkdir()
    assert main([*here, "--systems", "empty", "--batch_size", "3"]) == 1
    assert main([*here, "--systems", "lead-1"]) == 0, capsys.readouterr().err
    Path("moved").mkdir()
    Path("moved/same.jsonl").write_text(text, "utf-8")
    capsys.readouterr()
    there = [*argv, "--test_file", "moved/same.jsonl"]
    assert main([*there, "--systems", "lead-1"]) == 0, capsys.readouterr().err
    assert "(6 are there)" in capsys.readouterr().out
    assert main([*there, "--systems", "lead-1", "--batch_size", "3"]) == 2
    assert "--batch_size: 8 -> 3" in capsys.readouterr().err
    assert main([*there, "--systems", "lead-3"]) == 2
    assert "also holds lead-1" in capsys.readouterr().err
    Path("moved/same.jsonl").write_text("".join(text.splitlines(keepends=True)[1:]), "utf-8")
    assert main([*there, "--systems", "lead-1"]) == 2
    assert "the texts of the data" in capsys.readouterr().err


def test_from_start_moves_only_what_is_a_run(data, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    argv = ["--systems", "lead-1", "--test_file", str(data), "--output_dir", str(tmp_path / "mine"), "--from_start"]
    assert main(argv) == 2
    assert "holds files, but no evaluation" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
