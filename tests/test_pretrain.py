"""Pre-training end to end on the smoke texts: reading, batches, a kill and a resume, and a model that others load."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, T5ForConditionalGeneration

from tests.tiny import SMOKE, tiny_config, tiny_tokenizer
from trainer import pretrain
from trainer.data.spelling import Spelling
from trainer.errors import UserError
from trainer.models.initialisation import make_copy_ready
from trainer.pretraining.corpus import load_corpus, recase, text_of
from trainer.pretraining.loop import TrainingState, build_model
from trainer.pretraining.mixture import EOS, IGNORED, PAD, Mixture
from trainer.settings.pretraining import PretrainSettings, parse

ROOT = Path(__file__).resolve().parents[1]
RECIPE = """
texts: {train.jsonl: {weight: 1, lead: 1, summary: 1}}
shares: {span: 0.3, gap: 0.3, lead: 0.2, summary: 0.1, continuation: 0.1}
vocab_size: 600
d_model: 32
d_kv: 8
d_ff: 64
num_layers: 2
num_decoder_layers: 2
num_heads: 4
exercise_steps: 4
anneal_steps: 20
max_source_length: 64
max_target_length: 24
batch_size: 4
warmup_steps: 5
log_steps: 5
eval_steps: 10
precision: fp32
save_minutes: 0
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE, "utf-8")
    return path


def flags(recipe: Path, output_dir: Path, *more: str) -> list[str]:
    return ["--recipe", str(recipe), "--text_dir", str(SMOKE), "--output_dir", str(output_dir), *more]


def test_corpus_holds_every_word_of_its_file(tmp_path):
    tokenizer = tiny_tokenizer()
    rows = [{"text": "WASHINGTON, D.C. -- The bill passed. Few were surprised.", "title": "SEN. DOE: BILL PASSED"}]
    rows += [json.loads(line) for line in (SMOKE / "test.jsonl").read_text("utf-8").splitlines()]
    path = tmp_path / "some.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for corpus in (load_corpus(path, tokenizer, tmp_path), load_corpus(path, tokenizer, tmp_path)):  # made, then cached
        assert len(corpus) == len(rows)
        assert tokenizer.decode(corpus[0].title) == "Bill passed" and corpus[0].summary is None
        assert tokenizer.decode(np.concatenate(corpus[0].sentences)) == "The bill passed. Few were surprised."
        for row, document in zip(rows[1:], (corpus[k] for k in range(1, len(rows))), strict=True):
            known = tokenizer.decode(tokenizer(row["document"], add_special_tokens=False)["input_ids"])
            assert tokenizer.decode(np.concatenate(document.sentences)) == known
            assert len(document.sentences) > 2 and document.title is None
            assert tokenizer.decode(document.summary) == tokenizer.decode(
                tokenizer(row["summary"], add_special_tokens=False)["input_ids"]
            )


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("SENATE BACKS NASA BILL", "The Senate voted. NASA has a bill. It backs Nasa.", "Senate backs NASA bill"),
        ("SEN. DOE: AID FOR OHIO", "Aid goes to Ohio. The aid is welcome. More aid.", "Aid for Ohio"),
        ("Ohio gets aid", "Aid goes to OHIO.", "Ohio gets aid"),
        ("1987", "In 1987 all was well.", "1987"),
    ],
)
def test_headlines_in_capitals_are_recased_from_their_article(title, text, expected):
    assert recase(title, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LONDON (Reuters) - Shares rose.", "Shares rose."),
        ("WASHINGTON, D.C. – Senator Doe spoke.", "Senator Doe spoke."),
        ("Well-known people came - and went.", "Well-known people came - and went."),
    ],
)
def test_datelines_come_off(text, expected):
    assert text_of({"text": text}) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"text": "A b. C d."}\n{oh', "line 2: not JSON"), ("[1]", "line 1: expected a JSON object"), ("{}", "no text")],
)
def test_bad_text_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content, "utf-8")
    with pytest.raises(UserError, match=message):
        load_corpus(path, tiny_tokenizer(), tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        load_corpus(tmp_path / "absent.jsonl", tiny_tokenizer(), tmp_path)


def test_copy_ready_weights_look_before_after_and_for_likeness():
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(tiny_config(tokenizer, d_model=64, d_kv=16))
    make_copy_ready(model)
    model.set_attn_implementation("eager")
    source = torch.randint(3, 400, (1, 20))
    with torch.no_grad():
        out = model(input_ids=source, labels=source, output_attentions=True)
    encoder, decoder = out.encoder_attentions[0][0], out.decoder_attentions[0][0]
    middle = range(2, 18)
    assert min(encoder[0, k, k - 1] for k in middle) > 0.9
    assert min(encoder[1, k, k + 1] for k in middle) > 0.9
    assert min(decoder[0, k, k - 1] for k in middle) > 0.9
    for block in model.decoder.block:
        cross = block.layer[1].EncDecAttention
        assert torch.equal(cross.o.weight, cross.v.weight.T)
        assert torch.equal(cross.q.weight, cross.k.weight / 4)  # √16
    with pytest.raises(ValueError, match="num_heads is 1"):
        make_copy_ready(T5ForConditionalGeneration(tiny_config(tokenizer, num_heads=1)))


def test_batches_follow_from_seed_and_step_alone(tmp_path, recipe):
    settings = parse(flags(recipe, tmp_path))
    tokenizer = tiny_tokenizer()
    corpora = {"train.jsonl": load_corpus(SMOKE / "train.jsonl", tokenizer, tmp_path)}
    straight = Mixture(corpora, settings, tokenizer)
    seen = [straight.batch(step, 4) for step in range(30)]
    for step in (29, 3, 17, 8, 4):  # another process, another order
        again = Mixture(corpora, settings, tokenizer).batch(step, 4)
        assert np.array_equal(again.source, seen[step].source) and np.array_equal(again.labels, seen[step].labels)
    copy_prefix = tokenizer("copy:", add_special_tokens=False)["input_ids"]
    for step, batch in enumerate(seen):
        assert batch.source.shape[0] == 4 and batch.source.shape[1] <= 64 and batch.labels.shape[1] <= 25
        for row in batch.source:
            assert row[row != PAD][-1] == EOS
        for row in batch.labels:
            assert row[row != IGNORED][-1] == EOS
        if step < 4:  # the first steps only exercise copying
            assert all(row[: len(copy_prefix)].tolist() == copy_prefix for row in batch.source)
    held_out = np.concatenate(corpora["train.jsonl"][0].sentences)[:30].tolist()
    assert not any(held_out == row[5:35].tolist() for batch in seen for row in batch.source)


def test_names_and_numbers_that_only_the_target_has_get_no_loss_where_the_recipe_says_so(tmp_path, recipe):
    tokenizer = tiny_tokenizer()
    corpora = {"train.jsonl": load_corpus(SMOKE / "train.jsonl", tokenizer, tmp_path)}
    plain = Mixture(corpora, parse(flags(recipe, tmp_path)), tokenizer)
    masked = Mixture(corpora, parse(flags(recipe, tmp_path, "--learn_unsupported", "no")), tokenizer)
    spelling, ignored = Spelling.of(tokenizer), 0
    summarize = tokenizer("summarize:", add_special_tokens=False)["input_ids"]
    for step in range(4, 40):
        one, other = plain.batch(step, 4), masked.batch(step, 4)
        assert np.array_equal(one.source, other.source) and np.array_equal(one.target, other.target)
        assert np.array_equal(one.labels, np.where(one.target == PAD, IGNORED, one.target))
        read = other.inputs()["decoder_input_ids"].numpy()
        assert np.array_equal(read[:, 1:], one.target[:, :-1]) and (read[:, 0] == PAD).all()  # whatever is learnt
        assert other.n_labels <= one.n_labels and other.n_tokens == one.n_tokens
        for row in range(len(one.source)):
            gone = (one.labels[row] != IGNORED) & (other.labels[row] == IGNORED)
            ignored += gone.sum()
            if one.source[row][: len(summarize)].tolist() == summarize:
                target = one.target[row][one.target[row] != PAD]
                expected = spelling.unsupported(target, one.source[row][one.source[row] != PAD])
                assert gone[: len(target)].tolist() == expected.tolist()
    assert ignored > 20
    for one, other in zip(plain.validation["lead"], masked.validation["lead"], strict=True):
        assert np.array_equal(one.labels, other.labels)  # so that losses of both can be compared


def test_a_first_sentence_in_capitals_is_no_lead(tmp_path, recipe):
    path = tmp_path / "train.jsonl"
    rest = " The boats came in. Nobody knew why they did. The gulls cried all day long."
    rows = [{"document": lead + rest} for lead in ["SENATOR OPENS THE HARBOUR OF ELLERY TODAY."] * 30]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    corpora = {"train.jsonl": load_corpus(path, tiny_tokenizer(), tmp_path)}
    mixture = Mixture(corpora, parse(flags(recipe, tmp_path)), tiny_tokenizer())
    assert "lead" not in mixture.validation and "gap" in mixture.validation


def test_a_resumed_runs_log_has_no_step_twice(tmp_path, recipe):
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "10")) == 0
    with (tmp_path / "log.jsonl").open("a") as log:  # as a kill leaves it between two checkpoints
        log.write('{"step": 15}\n{"step": 20, "lo')
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "20")) == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20] and all("loss" in line for line in lines)


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path, recipe):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert pretrain.main(flags(recipe, whole, "--max_steps", "24")) == 0
    command = [sys.executable, str(ROOT / "trainer" / "pretrain.py"), *flags(recipe, broken, "--max_steps", "24")]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (broken / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert torch.load(broken / "checkpoint.pt", weights_only=True)["step"] < 24
    (broken / "checkpoint.partial").write_bytes(b"half-written")
    assert pretrain.main(flags(recipe, broken, "--max_steps", "24")) == 0
    expected = torch.load(whole / "checkpoint.pt", weights_only=True)
    found = torch.load(broken / "checkpoint.pt", weights_only=True)
    assert found["step"] == expected["step"] == 24
    assert found["tokens"] == expected["tokens"]
    assert all(torch.equal(found["model"][name], tensor) for name, tensor in expected["model"].items())


def test_a_cooldown_writes_a_model_that_others_load_and_leaves_the_run_as_it_was(tmp_path, recipe, capsys):
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "20")) == 0
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert pretrain.main(flags(recipe, tmp_path, "--cooldown_steps", "10")) == 0
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.dtype == torch.bfloat16 and model.config.vocab_size == len(tokenizer) == 600
    inputs = tokenizer("summarize: The lighthouse was repaired.", return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=5)
    assert written.shape[0] == 1
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    assert set(lines[1]) >= {"validation_copy", "validation_span", "validation_lead"}
    assert lines[-1]["tokens"] > lines[0]["tokens"] > 0


def test_a_killed_cooldown_goes_on_to_the_weights_of_an_unbroken_one(tmp_path, recipe):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        assert pretrain.main(flags(recipe, folder, "--max_steps", "5")) == 0
    cooldown = flags(recipe, broken, "--cooldown_steps", "20")
    assert pretrain.main(flags(recipe, whole, "--cooldown_steps", "20")) == 0
    assert not (whole / "cooldown.pt").exists()
    first = subprocess.Popen([sys.executable, str(ROOT / "trainer" / "pretrain.py"), *cooldown], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (broken / "cooldown.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert 5 < torch.load(broken / "cooldown.pt", weights_only=True)["step"] < 25
    assert torch.load(broken / "checkpoint.pt", weights_only=True)["step"] == 5
    assert pretrain.main(cooldown) == 0
    assert (broken / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()
    # Its minutes over, a cool-down leaves its checkpoint and no model that is not finished.
    for path in (broken / "model").iterdir():
        path.unlink()
    assert pretrain.main([*cooldown, "--max_minutes", "0"]) == 0
    assert not list((broken / "model").iterdir()) and (broken / "cooldown.pt").exists()
    # Another cool-down is no continuation of that one.
    assert pretrain.main(flags(recipe, broken, "--cooldown_steps", "10")) == 0
    steps = [json.loads(line)["step"] for line in (broken / "log.jsonl").read_text("utf-8").splitlines()]
    assert steps == [5, 10, 15]


def test_a_run_starts_with_a_given_models_weights_and_vocabulary(tmp_path, recipe, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert pretrain.main(flags(recipe, first, "--cooldown_steps", "10")) == 0
    again = flags(recipe, second, "--model", str(first / "model"))
    assert pretrain.main([*again, "--max_steps", "0"]) == 0
    given = AutoModelForSeq2SeqLM.from_pretrained(first / "model").state_dict()
    stored = torch.load(second / "checkpoint.pt", weights_only=True)
    assert all(tensor.dtype == torch.float32 for tensor in stored["model"].values())
    assert all(torch.equal(stored["model"][name], tensor.float()) for name, tensor in given.items())
    assert stored["exercise_end"] == 0  # it can copy already
    assert pretrain.main([*again, "--cooldown_steps", "10"]) == 0
    vocabulary = "model/tokenizer.json"
    assert (second / vocabulary).read_bytes() == (first / vocabulary).read_bytes()
    model = AutoModelForSeq2SeqLM.from_pretrained(second / "model")
    assert not torch.equal(model.state_dict()["shared.weight"], given["shared.weight"])
    assert model.config.dropout_rate == 0.1
    assert pretrain.main([*again, "--d_model", "48", "--output_dir", str(tmp_path / "third")]) == 2
    assert "but the settings say" in capsys.readouterr().err
    assert pretrain.main(flags(recipe, second, "--model", str(tmp_path / "nowhere"))) == 2
    assert "no config.json is there" in capsys.readouterr().err


def test_the_rate_rises_stays_and_falls_to_zero(recipe, tmp_path):
    settings = parse(flags(recipe, tmp_path, "--cooldown_steps", "10"))
    state = TrainingState(build_model(settings, tiny_tokenizer()), settings)
    rates = []
    for state.step in range(40):
        if state.step == 30:
            state.cooldown_start = 30
        rates.append(state.schedule())
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rates[29:32] == pytest.approx([1, 1, 0.9])
    assert rates[39] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--recipe", "nonsense"], "recipe 'nonsense' does not exist"),
        (["--d_model", "48"], "but the settings say"),
        (["--learning_rat", "1"], "there is no flag or value --learning_rat 1"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(tmp_path, recipe, capsys, more, message):
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "1")) == 0
    assert pretrain.main([*flags(recipe, tmp_path), *more]) == 2
    assert message in capsys.readouterr().err


def test_unknown_names_in_a_recipe_are_refused(tmp_path):
    path = tmp_path / "typo.yaml"
    path.write_text(RECIPE + "learning_rat: 1\n", "utf-8")
    with pytest.raises(UserError, match="unknown settings learning_rat"):
        parse(flags(path, tmp_path))
    with pytest.raises(UserError, match=r"shares\.leed is unknown"):
        PretrainSettings(text_dir=".", texts={"a": {}}, shares={"leed": 1})
