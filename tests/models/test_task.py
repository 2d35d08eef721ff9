"""A model remembers its task and how it decodes."""

import json

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.tiny import tiny_t5
from trainer.models.task import Task, remember_task, task_of
from trainer.settings.groups import GenerationSettings


def test_a_model_remembers_its_task(tmp_path):
    model, tokenizer = tiny_t5()
    assert task_of(model.config) == Task("summarize: ", 1024)
    generation = GenerationSettings(max_new_tokens=9, min_new_tokens=3, num_beams=2, length_penalty=2.0)
    remember_task(model, tokenizer, "tl;dr: ", 77, generation)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    # As anybody would, with transformers alone.
    loaded, words = AutoModelForSeq2SeqLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert task_of(loaded.config) == Task("tl;dr: ", 77)
    assert len(words("word " * 200, truncation=True).input_ids) == 77
    config = loaded.generation_config
    assert (config.max_new_tokens, config.num_beams, config.length_penalty) == (9, 2, 2.0)
    output = loaded.generate(**words("tl;dr: A lantern.", return_tensors="pt"))
    assert 4 <= output.shape[1] <= 10


def test_greedy_settings_can_be_saved(tmp_path):
    model, tokenizer = tiny_t5()
    # transformers refuses to save beam settings where there are no beams.
    remember_task(model, tokenizer, "", 10, GenerationSettings(num_beams=1, length_penalty=2.0, early_stopping=True))
    model.save_pretrained(tmp_path)
    assert "length_penalty" not in json.loads((tmp_path / "generation_config.json").read_text())
