"""The card: filled from results.json alone, read by the Hub, honest, and with an example that runs."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, constants
from huggingface_hub.repocard_data import model_index_to_eval_results

from tests.hub.double import Hub
from tests.scoring.ways import evaluate_system
from tests.tiny import SMOKE, save_tiny_t5, tiny_t5
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.publishing.card import render_card, update_card, write_card
from trainer.scoring.records import Results
from trainer.settings.base import ROOT
from trainer.settings.groups import HubSettings
from trainer.settings.training import Settings
from trainer.summarizers.extractive import LeadN
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

SYSTEM = "t5-tiny-finetuned-smoke"
SHA = "0123456789abcdef0123456789abcdef01234567"


class SecondSentence(LeadN):
    """Stands for a model that has learnt something: figures that are all different and none of them 0."""

    def __init__(self, about: dict):
        super().__init__(2)
        self.about = about

    def summarize(self, sources):
        first = LeadN(1).summarize(sources)
        return [
            replace(two, text=two.text[len(one.text) :].strip())
            for one, two in zip(first, super().summarize(sources), strict=True)
        ]

    def describe(self):
        return self.about


def write_results(folder: Path, dataset: str | None = None, **training) -> Results:
    """results.json as training leaves it, measured on the smoke recipe's articles, which `dataset` calls the Hub's."""
    files = {f"--{name}_file": str(SMOKE / f"{name}.jsonl") for name in ("train", "validation", "test")}
    settings = Settings.parse([word for pair in files.items() for word in pair])
    splits = [load_split(settings.data, name) for name in ("train", "validation", "test")]
    if dataset:
        splits = [replace(split, dataset=dataset, revision=SHA) for split in splits]
    *learnt, test = splits
    model, tokenizer = tiny_t5()
    about = Seq2SeqSummarizer(model, tokenizer, name=SYSTEM, generation=settings.generation).describe()
    systems = (LeadN(1), LeadN(3), SecondSentence(about))
    results = Results(
        evaluations=[evaluate_system(system, test, bootstrap_samples=200)[0] for system in systems],
        settings=settings.to_dict(),
        training={
            "system": SYSTEM,
            "base_model": "google-t5/t5-small",
            "base_revision": SHA,
            "parameters": model.num_parameters(),
            "splits": [
                {
                    "name": split.name,
                    "dataset": split.dataset,
                    "revision": split.revision,
                    "n": len(split),
                    "fingerprint": split.fingerprint,
                    "skipped": 0,
                }
                for split in learnt
            ],
            "steps": 1234,
            "epochs": 2.5,
            "best_step": 617,
            "best_metric": "rouge1",
            "best_value": 0.28317,
            "seconds": 4321.0,
            "processes": 2,
            "precision": "bf16",
            "language": "en",
            **training,
        },
    )
    results.save(folder / "results.json")
    return results


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = save_tiny_t5(tmp_path_factory.mktemp("card"))
    write_results(folder, "EdinburghNLP/xsum")
    write_card(folder)
    return folder


@pytest.fixture(scope="module")
def results(folder) -> Results:
    return Results.load(folder / "results.json")


@pytest.fixture(scope="module")
def card(folder) -> ModelCard:
    return ModelCard.load(folder / "README.md")


def own(results: Results):
    (record,) = [record for record in results.evaluations if record.system == SYSTEM]
    return record


# --- The head, which the Hub reads ---------------------------------------------------------------------------


def test_head(card):
    assert card.data.to_dict() | {"model-index": None} == {
        "base_model": "google-t5/t5-small",
        "datasets": ["EdinburghNLP/xsum"],
        "language": "en",
        "library_name": "transformers",
        "license": "apache-2.0",
        "metrics": ["rouge"],
        "pipeline_tag": "summarization",
        "tags": ["summarization", "t5"],
        "model-index": None,
    }


def test_results_that_the_hub_reads(card, results):
    name, found = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert name == SYSTEM
    assert [result.metric_name for result in found] == ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    assert found[0].metric_value > 1
    for result in found:
        assert (result.task_type, result.metric_type) == ("summarization", "rouge")
        assert (result.dataset_type, result.dataset_name, result.dataset_split) == (
            "EdinburghNLP/xsum",
            "xsum",
            "test",
        )
        assert result.dataset_revision == SHA
        value = own(results).metrics[f"{result.metric_name}_fmeasure"].value
        assert 0 <= result.metric_value < 100 and result.metric_value == round(100 * value, 2)


def test_the_hub_takes_the_card(card, monkeypatch):
    with Hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        card.validate()
        assert [(request.path, request.status) for request in hub.requests] == [("/api/validate-yaml", 200)]


def test_from_scratch_and_local_files_name_nothing_that_the_hub_lacks(tmp_path):
    write_results(tmp_path, base_model=None, base_revision=None)
    text = render_card(tmp_path, "ada/own")
    head = ModelCard(text).data.to_dict()
    assert "base_model" not in head and "datasets" not in head
    assert head["model-index"][0]["name"] == "own"
    assert "trained from random weights on `smoke/train.jsonl`" in text
    write_results(tmp_path, base_model="/home/ada/secret/t5", base_revision=None)
    assert "base_model" not in ModelCard(render_card(tmp_path)).data.to_dict()


# --- The figures ---------------------------------------------------------------------------------------------


def test_every_number_is_one_of_the_records(card, results):
    """Numbers of the text, code and names aside, are values of results.json, rounded or in another unit."""
    known, texts = set(), []

    def collect(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                texts.append(key)
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        elif isinstance(value, str):
            texts.append(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            known.update(f"{value:,.{digits}f}" for digits in range(3))
            known.update(f"{100 * value:.{digits}f}" for digits in range(3))  # × 100, %
            known.update((f"{value:g}", str(value), f"{value / 60:.1f}"))  # minutes

    collect(results.to_dict())
    body = re.sub(r"```.*?```", "", card.text, flags=re.DOTALL)
    for name in ("ROUGE-1", "ROUGE-2", "T5", "F1", "SHA-256", "× 100", "ROUGE × 100"):
        body = body.replace(name, "")
    for text in sorted(texts, key=len, reverse=True):
        body = body.replace(text, "")
    body = body.replace(SHA[:12], "")
    numbers = re.findall(r"\d[\d,]*(?:\.\d+)?", body)
    assert len(numbers) > 60
    unknown = {number for number in numbers if number.rstrip(",") not in known}
    assert not unknown


def test_tables_hold_precision_recall_f1_and_the_baselines(card, results):
    for kind, title in (("rouge1", "ROUGE-1"), ("rougeLsum", "ROUGE-Lsum")):
        cells = []
        for part in ("precision", "recall", "fmeasure"):
            metric = own(results).metrics[f"{kind}_{part}"]
            cells.append(f"{100 * metric.value:.2f} [{100 * metric.low:.2f}, {100 * metric.high:.2f}]")
        assert f"| {title} | {' | '.join(cells)} |" in card.text
    for record in results.evaluations:
        assert f"| {record.system} | {100 * record.metrics['rouge1_fmeasure'].value:.2f} [" in card.text
        assert record.metrics["rouge1_fmeasure"].signature in card.text
    assert "95% intervals by bootstrap percentile, 200 samples" in card.text


def test_a_better_baseline_is_admitted(card, results, tmp_path):
    lead1, lead3, _ = (100 * record.metrics["rouge1_fmeasure"].value for record in results.evaluations)
    mine = 100 * own(results).metrics["rouge1_fmeasure"].value
    better = [f"lead-{n} ({v:.2f})" for n, v in ((1, lead1), (3, lead3)) if v >= mine]
    assert better
    assert f"ROUGE-1 F1 of {mine:.2f} is not above that of {', '.join(better)}." in card.text
    data = results.to_dict()
    for record in data["evaluations"]:
        if record["system"].startswith("lead"):
            record["metrics"]["rouge1_fmeasure"]["value"] = 0.01
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert "not above that of" not in render_card(tmp_path)


def test_training_data_settings_and_provenance(card, results):
    for split in results.training["splits"]:
        assert f"| {split['n']:,} | `{split['fingerprint']}` |" in card.text
    assert "| `learning_rate` | `0.0003` |" in card.text
    assert "1,234 optimizer steps (2.5 epochs) in bf16 on" in card.text and ", 2 processes: 72.0 minutes." in card.text
    assert "checkpoint of step 617, the best by rouge1 F1 on the validation split (28.32)" in card.text
    assert "`max_new_tokens` `128`" in card.text


def test_optional_blocks(tmp_path, card):
    assert "## Notes" not in card.text and "made from" not in card.text
    write_results(
        tmp_path,
        provenance=[{"name": "Old novels | Gutenberg", "licence": "public domain", "size": "5.8 MB", "use": "gaps"}],
        notes="It is **weak**, and says so.",
        usage="The texts it was made from allow research only.",
    )
    text = render_card(tmp_path)
    assert "| Old novels \\| Gutenberg | public domain | 5.8 MB | gaps |" in text
    assert "## Notes\n\nIt is **weak**, and says so." in text
    assert "`apache-2.0`. The texts it was made from allow research only." in text


def test_nothing_is_invented(card):
    text = str(card)
    for phrase in (
        "More information needed",
        "More Information Needed",
        "co2",
        "CO2",
        "emission",
        "None",
        "nan",
        "{{",
    ):
        assert phrase not in text


@pytest.mark.parametrize("name", ["steps", "parameters", "splits", "base_revision", "best_value", "system"])
def test_a_missing_figure_is_an_error_and_not_a_gap(tmp_path, results, name):
    data = results.to_dict()
    data["training"] = {key: value for key, value in data["training"].items() if key != name}
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"lacks what the card states.*{name}"):
        write_card(tmp_path)
    assert not (tmp_path / "README.md").exists()


def test_no_record_of_the_model(tmp_path):
    write_results(tmp_path, system="another")
    with pytest.raises(UserError, match="no record of the system 'another'"):
        render_card(tmp_path)


# --- The example ---------------------------------------------------------------------------------------------


def test_the_example_runs_as_it_stands(folder, card):
    (code,) = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "HF_HOME": str(folder / "home"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n")


def test_a_model_that_chooses_among_sentences_says_how_it_is_used(tmp_path):
    save_tiny_t5(tmp_path)
    results = write_results(tmp_path)
    record = own(results)
    chooses = {"choose_from": "sentences", "chosen_by": "choice-v4", "sentence_split": "regex-v1"}
    decoding = {"prefix": "summarize: ", "max_source_length": 448, "batch_size": 8, "max_new_tokens": 80, **chooses}
    at = results.evaluations.index(record)
    results.evaluations[at] = replace(record, decoding=decoding)
    results.save(tmp_path / "results.json")
    write_card(tmp_path)
    text = (tmp_path / "README.md").read_text("utf-8")
    assert "ranks the sentences of the article" in text and "generation_config.json" not in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_example_names_the_repository(folder):
    text = render_card(folder, "ada/t5")
    assert 'name = "ada/t5"' in text and yaml.safe_load(text.split("---")[1])["model-index"][0]["name"] == "t5"


def test_a_card_is_drawn_again_with_what_people_say(tmp_path):
    write_results(tmp_path)
    write_card(tmp_path)
    before = Results.load(tmp_path / "results.json")
    notes = tmp_path / "notes.yaml"
    notes.write_text(
        "provenance: [{name: Old papers, licence: public domain, size: 12 pages, use: pre-training}]\n"
        "notes: It likes **harbours**.\nusage: For research use.\n",
        "utf-8",
    )
    command = [str(tmp_path), "--card_notes", str(notes), "--license", "other"]
    script = [sys.executable, "-m", "trainer.publishing.card"]
    done = subprocess.run([*script, *command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "| Old papers | public domain | 12 pages | pre-training |" in card
    assert "It likes **harbours**." in card and "`other`. For research use." in card
    assert ModelCard(card).data.license == "other"
    assert Results.load(tmp_path / "results.json").evaluations == before.evaluations
    done = subprocess.run([*script, str(notes)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "results.json" in done.stderr


def test_no_language_is_claimed_that_was_not_found(tmp_path, card):
    assert "both in the language `en`" in card.text and "It was trained on texts in `en` only" in card.text
    write_results(tmp_path, language="de")
    german = ModelCard(render_card(tmp_path))
    assert german.data.language == "de" and "both in the language `de`" in german.text
    write_results(tmp_path, language=None)
    text = render_card(tmp_path)
    assert "language" not in ModelCard(text).data.to_dict()
    assert "both in the language" not in text and "It was trained on texts in" not in text and "English" not in text


def notes_file(folder: Path, text: str = "It likes **harbours**.") -> Path:
    path = folder / "notes.yaml"
    path.write_text(f"notes: {text}\n", "utf-8")
    return path


def test_a_finished_card_takes_what_is_asked_for_anew(tmp_path):
    write_results(tmp_path, notes="Old words.")
    write_card(tmp_path, "ada/t5")
    said = []
    for same in (HubSettings(), HubSettings(license="apache-2.0", language="en")):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        update_card(tmp_path, same, said.append)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before and said == []

    hub = HubSettings(license="mit", card_notes=notes_file(tmp_path), language="none")
    update_card(tmp_path, hub, said.append)
    card = ModelCard((tmp_path / "README.md").read_text("utf-8"))
    assert card.data.license == "mit" and "language" not in card.data.to_dict()
    assert "It likes **harbours**." in card.text and "Old words." not in card.text
    assert 'name = "ada/t5"' in card.text, "the example still loads what it loaded"
    assert len(said) == 3 and "--license: apache-2.0 -> mit" in said[0] and "--language: en -> None" in said[1]
    update_card(tmp_path, hub, said.append)
    update_card(tmp_path, HubSettings(), said.append)
    assert len(said) == 3, "it says all that already"
    assert Results.load(tmp_path / "results.json").settings["hub"]["license"] == "mit"


def test_what_a_finished_card_cannot_take_is_refused(tmp_path):
    write_results(tmp_path)
    path = write_card(tmp_path)
    with pytest.raises(UserError, match=r"--language is 'fr', but the training texts were found to be in en"):
        update_card(tmp_path, HubSettings(language="fr"))
    path.write_text(path.read_text("utf-8") + "\nMy own words.\n", "utf-8")
    update_card(tmp_path, HubSettings(license="apache-2.0"))  # nothing new
    with pytest.raises(UserError, match=r"README\.md is not as it was drawn.*--license: apache-2.0 -> mit"):
        update_card(tmp_path, HubSettings(license="mit"))
    assert "My own words." in path.read_text("utf-8")
    assert Results.load(tmp_path / "results.json").settings["hub"]["license"] is None
    path.unlink()  # as the sentence advises
    update_card(tmp_path, HubSettings(license="mit"))
    assert ModelCard(path.read_text("utf-8")).data.license == "mit"
