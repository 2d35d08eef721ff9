"""Pairs as token ids, and batches of them."""

import numpy as np
import pytest
import torch

from tests.data.files import read
from tests.tiny import SMOKE, tiny_tokenizer
from trainer.data.encoding import Encoded
from trainer.data.splits import Example
from trainer.data.tokens import SummarizationDataset, collator, tokenize
from trainer.errors import UserError
from trainer.settings.groups import DataSettings

TEXTS = [Example("1", "The ferry sank. " * 30, "A ferry has sunk."), Example("2", "A mill.", "Fire " * 40)]


class TestTokens:
    def test_ids_are_the_tokenizers_own(self, tiny):
        _, tokenizer = tiny
        smoke = read(SMOKE / "train.jsonl").examples
        dataset = SummarizationDataset(
            [*smoke, *TEXTS], tokenizer, prefix="summarize: ", max_source_length=200, max_target_length=30
        )
        cut = [0, 0]
        for item, example in zip(dataset, [*smoke, *TEXTS], strict=True):
            source, target = "summarize: " + example.source, example.target
            assert item["input_ids"] == tokenizer(source, truncation=True, max_length=200).input_ids
            assert item["labels"] == tokenizer(text_target=target, truncation=True, max_length=30).input_ids
            assert item["input_ids"][-1] == item["labels"][-1] == tokenizer.eos_token_id
            assert item["input_ids"].count(1) == item["labels"].count(1) == 1
            cut[0] += len(tokenizer(source).input_ids) > 200
            cut[1] += len(tokenizer(target).input_ids) > 30
        assert [dataset.truncated_sources, dataset.truncated_targets] == cut
        assert 0 < cut[0] < 30 and 0 < cut[1] <= 30
        assert dataset.source_lengths.tolist() == [len(item["input_ids"]) for item in dataset]
        assert dataset.target_lengths.tolist() == [len(item["labels"]) for item in dataset]
        assert dataset.source_lengths.max() == 200

    def test_the_limit_itself_is_not_cut(self, tiny):
        _, tokenizer = tiny
        length = len(tokenizer("A mill.").input_ids)
        pair = [Example("1", "A mill.", "A mill.")]
        limits = {"prefix": "", "max_target_length": 9}
        whole = SummarizationDataset(pair, tokenizer, max_source_length=length, **limits)
        assert (whole.truncated_sources, whole.notes()) == (0, [])
        short = SummarizationDataset(pair, tokenizer, max_source_length=length - 1, **limits)
        assert short.truncated_sources == 1
        assert short[0]["input_ids"] == [*whole[0]["input_ids"][:-2], 1]
        assert short.notes() == [f"1 of 1 articles (100.0%) were cut to --max_source_length {length - 1} tokens."]

    def test_settings_give_prefix_and_limits(self, tiny):
        _, tokenizer = tiny
        dataset = tokenize(TEXTS, tokenizer, DataSettings(prefix="A summary: ", max_source_length=50))
        assert tokenizer.decode(dataset[1]["input_ids"]) == "A summary: A mill.</s>"
        assert len(dataset[0]["input_ids"]) == 50
        taken = len(tokenizer("summarize: ").input_ids)
        with pytest.raises(UserError, match=rf"--max_source_length is {taken}: the prefix 'summarize: ' and"):
            tokenize(TEXTS, tokenizer, DataSettings(max_source_length=taken))
        assert len(tokenize(TEXTS, tokenizer, DataSettings(max_source_length=taken + 1))[0]["input_ids"]) == taken + 1

    def test_ids_that_were_kept_are_read_and_not_made_again(self, tiny, tmp_path, monkeypatch):
        _, tokenizer = tiny
        settings, cache = DataSettings(max_source_length=50), tmp_path / "tokens"
        fresh = tokenize(TEXTS, tokenizer, settings)
        first = tokenize(TEXTS, tokenizer, settings, cache)
        assert len(list(cache.iterdir())) == 2
        monkeypatch.setattr("trainer.data.tokens.encode", lambda *_, **__: [Encoded([0] * 11, 11, "", 0, 0, 1)])
        again = tokenize(TEXTS, tokenizer, settings, cache)
        assert list(fresh) == list(first) == list(again)
        assert again.notes() == fresh.notes() != []
        assert isinstance(again._sources.ids.base, np.memmap)
        monkeypatch.undo()
        # Another text, limit, prefix or tokenizer has a file of its own, and one that was cut short is made anew.
        tokenize([Example("1", "The ferry", " sank."), *TEXTS[1:]], tokenizer, settings, cache)
        tokenize([Example("1", "The", " ferry sank."), *TEXTS[1:]], tokenizer, settings, cache)
        tokenize(TEXTS, tokenizer, DataSettings(max_source_length=50, prefix="A: "), cache)
        tokenize(TEXTS, tiny_tokenizer(500), settings, cache)
        assert len(list(cache.iterdir())) == 2 + 2 + 2 + 1 + 2
        for path in cache.iterdir():
            path.write_bytes(path.read_bytes()[:-4])
        assert list(tokenize(TEXTS, tokenizer, settings, cache)) == list(fresh)

    def test_batch(self, tiny):
        model, tokenizer = tiny
        dataset = tokenize(TEXTS, tokenizer, DataSettings())
        batch = collator(tokenizer)([dataset[0], dataset[1]])
        assert set(batch) == {"input_ids", "attention_mask", "labels"}
        for row, item in enumerate([dataset[0], dataset[1]]):
            source, target = len(item["input_ids"]), len(item["labels"])
            assert batch["input_ids"][row, :source].tolist() == item["input_ids"]
            assert (batch["input_ids"][row, source:] == tokenizer.pad_token_id).all()
            assert batch["attention_mask"][row].tolist() == [1] * source + [0] * (batch["input_ids"].shape[1] - source)
            assert batch["labels"][row, :target].tolist() == item["labels"]
            assert (batch["labels"][row, target:] == -100).all()
        assert batch["input_ids"].shape[1] == dataset.source_lengths.max()
        assert batch["labels"].shape[1] == dataset.target_lengths.max()

        batch = collator(tokenizer, model)([dataset[0], dataset[1]])
        labels = batch["labels"]
        assert (batch["decoder_input_ids"][:, 0] == model.config.decoder_start_token_id).all()
        assert (batch["decoder_input_ids"][:, 1:] == labels[:, :-1].masked_fill(labels[:, :-1] == -100, 0)).all()
        with torch.inference_mode():
            assert torch.isfinite(model(**batch).loss)

    def test_padding_changes_no_loss(self, tiny):
        model, tokenizer = tiny
        dataset = tokenize(TEXTS, tokenizer, DataSettings())
        with torch.inference_mode():
            both = model(**collator(tokenizer)([dataset[0], dataset[1]])).loss.item()
            alone = [model(**collator(tokenizer)([dataset[i]])).loss.item() for i in (0, 1)]
        lengths = dataset.target_lengths
        assert both == pytest.approx(float(np.average(alone, weights=lengths)), rel=1e-5)
