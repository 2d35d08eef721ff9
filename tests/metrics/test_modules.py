"""Our metrics through `evaluate`'s interface give our numbers, without a network; sacrebleu's command line agrees."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import evaluate
import pytest

from trainer.errors import UserError
from trainer.metrics.abstraction import abstraction
from trainer.metrics.base import Metric, means
from trainer.metrics.bleu import bleu
from trainer.metrics.chrf import chrf
from trainer.metrics.modules import FigureModule, module
from trainer.metrics.registry import METRICS
from trainer.metrics.rouge import rouge

ROOT = Path(__file__).resolve().parents[2]
PREDICTIONS = ["The cat sat on the mat.", "A dog ran.", "", "Prices rose by 3.5%, he said."]
REFERENCES = ["The cat sat on a mat.", "Two dogs ran off.", "Nobody knew.", "Prices rose by 3.5%."]
SOURCES = [
    "A cat sat there.",
    "The dogs of Ellery ran.",
    "Nobody knew why it was.",
    "He said that prices rose by 3.5%.",
]


@pytest.mark.parametrize("name", METRICS)
def test_it_gives_our_numbers(name):
    metric = METRICS[name]
    reads_sources = "sources" in metric.needs
    ours = metric(PREDICTIONS, REFERENCES, SOURCES if reads_sources else REFERENCES)
    inputs = {"predictions": PREDICTIONS, "references": REFERENCES} | ({"sources": SOURCES} if reads_sources else {})
    found = module(name).compute(**inputs)
    assert list(found) == list(ours) and found
    assert all(found[key] == figure.value or math.isnan(figure.value) for key, figure in ours.items())
    single = module(name).compute(**inputs, per_example=True, signatures=True)
    assert single.pop("signatures") == {key: figure.signature for key, figure in ours.items()}
    for key, values in single.items():
        assert values == pytest.approx(ours[key].per_example.tolist(), nan_ok=True)


def test_it_is_a_module_of_evaluate():
    found = module("rouge")
    assert isinstance(found, evaluate.EvaluationModule)
    assert (found.name, list(found.features)) == ("rouge", ["predictions", "references"])
    assert list(module("abstraction").features) == ["predictions", "references", "sources"]
    assert module("abstraction").description == abstraction.about
    with pytest.raises(TypeError):
        found.compute(PREDICTIONS, REFERENCES)  # by keyword only, as evaluate has it


def test_batch_by_batch_and_combined():
    expected = rouge(PREDICTIONS, REFERENCES).mean("rouge1")
    added = module("rouge")
    for start in (0, 2):
        added.add_batch(predictions=PREDICTIONS[start : start + 2], references=REFERENCES[start : start + 2])
    assert added.compute()["rouge1_fmeasure"] == pytest.approx(expected)
    added.add(prediction="a", reference="a")
    assert added.compute()["rouge1_fmeasure"] == 1
    both = evaluate.combine([module("bleu"), module("rouge")]).compute(predictions=PREDICTIONS, references=REFERENCES)
    assert both["rouge1_fmeasure"] == pytest.approx(expected)
    assert both["bleu"] == bleu(PREDICTIONS, REFERENCES, REFERENCES)["bleu"].value


@pytest.mark.slow
def test_two_processes_share_one_result(tmp_path):
    """As evaluate does it: each adds its part to a file, and the first computes over all."""
    options = {"num_process": 2, "experiment_id": "two", "cache_dir": str(tmp_path)}
    code = (
        "import json, sys\nfrom trainer.metrics.modules import module\n"
        f"one = module('chrf', process_id=int(sys.argv[1]), **{options!r})\n"
        f"rows = json.loads({json.dumps(json.dumps([PREDICTIONS, REFERENCES]))})\n"
        "mine = [side[int(sys.argv[1]) * 2 :][:2] for side in rows]\n"
        "print(json.dumps(one.compute(predictions=mine[0], references=mine[1])))"
    )
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    pair = [
        subprocess.Popen([sys.executable, "-c", code, str(rank)], cwd=ROOT, env=env, stdout=-1, stderr=-1, text=True)
        for rank in (0, 1)
    ]
    (first, errors), (second, _) = (process.communicate(timeout=240) for process in pair)
    assert [process.returncode for process in pair] == [0, 0], errors[-2000:]
    assert json.loads(first)["chrf"] == pytest.approx(chrf(PREDICTIONS, REFERENCES, REFERENCES)["chrf"].value)
    assert json.loads(second) is None


def test_mistakes():
    with pytest.raises(UserError, match="No metric is called 'rogue': did you mean 'rouge'"):
        module("rogue")
    with pytest.raises(UserError, match="No metric is called 'zzz': there are rouge, bleu"):
        module("zzz")
    with pytest.raises(ValueError, match="inputs are missing: \\['sources'\\]"):
        module("abstraction").compute(predictions=["a"], references=["a"])
    with pytest.raises(ValueError, match="Mismatch in the number of predictions"):
        module("rouge").compute(predictions=["a", "b"], references=["a"])


def test_any_metric_of_ours_can_be_one():
    def score(predictions, references, sources):
        """Words that the summary has."""
        return {"words": [len(text.split()) for text in predictions]}

    one = FigureModule(Metric("words", means(["words"], "by:space"), score))
    assert one.compute(predictions=["a b", "c"], references=["", ""]) == {"words": 1.5}
    assert (one.name, one.description) == ("words", "Words that the summary has.")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bleu", "chrf"])
@pytest.mark.parametrize(("data", "n"), [("scitldr", 618), ("cnn_dailymail", 250), ("xsum", 999)])
def test_sacrebleus_command_line_says_the_same_on_real_texts(shared_data, tmp_path, data, n, name):
    rows = [json.loads(line) for line in (shared_data / data / "test.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == n
    references = [" ".join(row["summary"].split()) for row in rows]
    predictions = [" ".join(row["document"].split()[:25]) for row in rows]
    (tmp_path / "p").write_text("\n".join(predictions) + "\n", "utf-8")
    (tmp_path / "r").write_text("\n".join(references) + "\n", "utf-8")
    command = [sys.executable, "-m", "sacrebleu", tmp_path / "r", "-i", tmp_path / "p", "-m", name, "-w", "10"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    figure = METRICS[name](predictions, references, references)[name]
    assert 100 * figure.value == pytest.approx(said["score"], abs=1e-9)
    assert figure.signature == f"{name}|{said['signature']}"
    assert module(name).compute(predictions=predictions, references=references)[name] == figure.value
