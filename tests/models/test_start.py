"""Other models than T5 are trained, saved, loaded and measured by the same path."""

import json

import pytest
import torch

from tests.architectures import save_bart, save_bert2bert
from tests.tiny import tiny_t5, tiny_tokenizer
from tests.training.runs import settings_for
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.models.load import load_model
from trainer.models.pretrained import load_summarizer
from trainer.models.start import build_model, load_trainable, read_config, start_model
from trainer.training.checkpoints import TrainingRun
from trainer.training.finish import finish, save_finished
from trainer.training.fit import build_trainer, fit

HALF = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
PAIR = {"model_type": "encoder-decoder", "encoder": HALF, "decoder": HALF}


def written(folder, values):
    path = folder / "bert.json"
    path.write_text(json.dumps(values))
    return path


def splits_of(settings):
    return {name: load_split(settings.data, name) for name in ("train", "validation")}


def test_two_berts_from_random_weights_are_trained_scored_and_loaded(tmp_path):
    flags = ["--from_scratch", str(written(tmp_path, PAIR)), "--max_steps", "2", "--max_eval_samples", "1"]
    settings = settings_for(tmp_path / "run", *flags, "--no_baselines")
    run, splits = TrainingRun.open(settings), splits_of(settings)
    texts = [pair.source for pair in splits["train"].examples]
    model, tokenizer, _ = start_model(settings, run.vocabulary, texts)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    fit(settings, run, model, tokenizer, splits["train"], splits["validation"])
    still = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert not [name for name in still if "pooler" not in name]  # the pooler is not asked
    results = finish(settings, run, splits, None)
    assert results.training["system"].startswith("bert-finetuned-")
    assert results.evaluations[0].data["n"] == len(splits["validation"])
    found = load_summarizer(run.model)
    best = load_trainable(run.intact_checkpoint(results.training["best_step"]))[0]
    weights = found.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in best.state_dict().items())
    assert found.model.config.task_specific_params["summarization"]["prefix"] == "summarize: "


@pytest.mark.parametrize(("save", "start", "end"), [(save_bart, "</s>", "</s>"), (save_bert2bert, "[CLS]", "[SEP]")])
def test_a_model_of_another_family_learns_and_keeps_its_special_tokens(tmp_path, save, start, end):
    folder = save(tmp_path / "start")
    settings = settings_for(tmp_path / "run", "--prefix", "")
    model, tokenizer, _ = load_trainable(folder)
    splits = splits_of(settings)
    trainer = build_trainer(settings, TrainingRun.open(settings), model, tokenizer, *splits.values())
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(4)])
    losses = []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(6):
        losses.append(float(trainer.training_step(model, {**batch})))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.5
    model.save_pretrained(tmp_path / "checkpoint")
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    save_finished(settings, tmp_path / "checkpoint", tmp_path / "model")
    decoding = load_summarizer(tmp_path / "model").model.generation_config
    ids = tokenizer.convert_tokens_to_ids([start, end])
    assert [decoding.decoder_start_token_id, decoding.eos_token_id] == ids and decoding.max_new_tokens == 6


def test_a_t5_is_loaded_as_ever(tmp_path):
    model, tokenizer = tiny_t5()
    for one in (model, tokenizer):
        one.save_pretrained(tmp_path)
    one, two = load_trainable(tmp_path)[0].state_dict(), load_model(tmp_path)[0].state_dict()
    assert all(torch.equal(weight, two[name]) for name, weight in one.items())


def test_random_weights_depend_on_the_seed_alone(tmp_path):
    path, tokenizer = written(tmp_path, PAIR), tiny_tokenizer()
    one, two, other = (build_model(path, tokenizer, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(weight, two[name]) for name, weight in one.items())
    name = "decoder.bert.encoder.layer.0.crossattention.self.query.weight"
    assert not torch.equal(one[name], other[name])
    assert build_model(path, tokenizer).config.encoder.vocab_size == len(tokenizer)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({**PAIR, "encoder": {"hidden_size": 8}}, "encoder must name its model_type"),
        (
            {**PAIR, "decoder": HALF | {"hiden_size": 8}},
            "has no 'hiden_size'; did you mean hidden_size?",
        ),
        ({"model_type": "bert"}, "only a T5 can be built, or two models of BERT's kind"),
    ],
)
def test_configs_that_describe_no_pair(tmp_path, values, sentence):
    with pytest.raises(UserError) as told:
        read_config(written(tmp_path, values))
    assert sentence in str(told.value)


def test_what_only_a_t5_has_is_refused_and_so_are_more_tokens_than_positions(tmp_path):
    path = written(tmp_path, PAIR)
    for flag in (["--encoder_layers", "1"], ["--no_position_bias"], ["--copy_ready"], ["--lora_rank", "4"]):
        settings = settings_for(tmp_path / "run", "--from_scratch", str(path), *flag)
        texts = [pair.source for pair in load_split(settings.data, "train").examples]
        with pytest.raises(UserError, match=r"is for the T5 family|is for a T5|as the attentions of a T5 have"):
            start_model(settings, tmp_path / "vocabulary", texts)
    settings = settings_for(tmp_path / "run", "--from_scratch", str(path), "--max_source_length", "65")
    model, tokenizer, _ = start_model(settings, tmp_path / "vocabulary", texts)
    with pytest.raises(UserError, match="--max_source_length is 65: the model has positions for 64 tokens"):
        build_trainer(settings, TrainingRun.open(settings), model, tokenizer, *splits_of(settings).values())


def test_parts_of_other_families_can_be_kept_from_learning(tmp_path):
    settings = settings_for(tmp_path / "run", "--from_scratch", str(written(tmp_path, PAIR)), "--freeze", "encoder")
    texts = [pair.source for pair in load_split(settings.data, "train").examples]
    model, _, _ = start_model(settings, tmp_path / "vocabulary", texts)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(name.startswith(("decoder.", "encoder.embeddings.word_embeddings")) for name in learning)
