"""Whether the article entails the summary, by a model of natural language inference (NLI).

Maynez et al. 2020 (section 5) found entailment nearer to human judgements of faithfulness than ROUGE or BERTScore.
Such models read a few hundred tokens, so the article is cut between sentences into parts that fit, and the part that
entails the summary most counts (as in SummaC-ZS, Laban et al. 2022, with parts in place of single sentences).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.errors import UserError
from trainer.metrics.base import Metric, means
from trainer.models.pretrained import Pretrained, load_pretrained, positions

READ_AT_MOST = 512


class EntailmentModel:
    """A classifier of (premise, hypothesis) one of whose labels is entailment.

    Raises:
        UserError: no label, or more than one, is called so.
    """

    def __init__(self, found: Pretrained, name: str, batch_size: int = 16):
        labels = {number: str(label) for number, label in found.model.config.id2label.items()}
        fitting = [number for number, label in labels.items() if label.lower().startswith("entail")]
        if len(fitting) != 1:
            raise UserError(
                f"{name} can't judge entailment: one of its labels must be called so, and they are "
                f"{', '.join(labels.values())}."
            )
        self.label = fitting[0]
        self.model, self.tokenizer = found.model, found.tokenizer
        self.limit = min(positions(found.model)[0] or READ_AT_MOST, READ_AT_MOST)
        self.batch_size = batch_size
        self.signature = f"nli:{name}{f'@{found.revision[:12]}' if found.revision else ''}|tokens:{self.limit}"

    @classmethod
    def load(cls, name_or_folder: str | Path, revision: str | None = None, **options: int) -> "EntailmentModel":
        """Loads a classifier of the Hub or a folder.

        Raises:
            UserError: it can't be had, is no classifier, or has no label for entailment.
        """
        found = load_pretrained(name_or_folder, revision, auto=AutoModelForSequenceClassification, unused=())
        folder = Path(name_or_folder)
        return cls(found, folder.resolve().name if folder.is_dir() else str(name_or_folder), **options)

    def probabilities(self, premises: Sequence[str], hypotheses: Sequence[str]) -> list[float]:
        """That each premise entails the hypothesis of the same place; what is too long is cut, the longer first."""
        order = sorted(range(len(premises)), key=lambda row: len(premises[row]) + len(hypotheses[row]), reverse=True)
        found = [0.0] * len(order)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            inputs = self.tokenizer(
                [premises[row] for row in rows],
                [hypotheses[row] for row in rows],
                truncation="longest_first",
                max_length=self.limit,
                padding=True,
                return_tensors="pt",
            ).to(self.model.device)
            with torch.inference_mode():
                shares = self.model(**inputs).logits.double().softmax(-1)[:, self.label]
            for row, share in zip(rows, shares.tolist(), strict=True):
                found[row] = share
        return found

    def parts(self, article: str, summary: str) -> list[str]:
        """The article in parts of whole sentences, as long as fits beside the summary; a longer sentence is one."""
        room = self.limit - len(self.tokenizer("", summary)["input_ids"])
        parts: list[str] = []
        used = 0
        sentences = split_sentences(article) or [article]
        lengths = [len(ids) for ids in self.tokenizer(sentences, add_special_tokens=False)["input_ids"]]
        for sentence, length in zip(sentences, lengths, strict=True):
            if parts and used + length <= room:
                parts[-1] += f" {sentence}"
                used += length
            else:
                parts.append(sentence)
                used = length
        return parts


def entailment(judge: EntailmentModel) -> Metric:
    """`entailment`: the probability that the article (not the reference) entails the summary, in [0, 1].

    An empty summary says nothing that could be entailed, and has 0.
    """

    def score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
        rows, premises, hypotheses = [], [], []
        for row, (summary, article) in enumerate(zip(predictions, sources, strict=True)):
            for part in judge.parts(article, summary) if summary.strip() else ():
                rows.append(row)
                premises.append(part)
                hypotheses.append(summary)
        best = [0.0] * len(predictions)
        for row, share in zip(rows, judge.probabilities(premises, hypotheses), strict=True):
            best[row] = max(best[row], share)
        return {"entailment": best}

    settings = f"tool:trainer|{judge.signature}|premise:parts of whole sentences, max|split:{SENTENCE_SPLIT}"
    return Metric("entailment", means(["entailment"], settings), score, needs=("sources",))
