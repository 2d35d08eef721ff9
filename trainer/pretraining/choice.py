r"""Fits what the choice among an article's sentences goes by, and writes it to trainer/summarizers/choice.json.

    python -m trainer.pretraining.choice --text_dir FOLDER --model runs/starter \
      --validation_file FOLDER/xsum/validation.jsonl

Two things are fitted (`trainer/summarizers/choice.py`):

- the test for a lead, a logistic regression on the articles of `trainer/recipes/pairs/starter.yaml`: those that begin
  with their lead against those whose lead was cut off. Its threshold is the probability that `KEPT` of the texts with
  their lead reach when five parts of the data are each judged by a test fitted on the other four.
- how much centrality and being the first sentence count beside the model's log-probability. ROUGE and readers disagree
  here: a first sentence states the main point more often than TextRank's (`trainer/records/reading.json`), which has
  more words of the reference. So of the settings of `WEIGHTS` and `BONUSES` whose sum of ROUGE-1, -2 and -L F1 on the
  validation file is within `TOLERANCE` of the highest, those with the highest bonus are kept, and of these the best.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.data.sentences import split_sentences
from trainer.errors import UserError
from trainer.metrics.rouge import rouge
from trainer.models.pretrained import load_summarizer
from trainer.pretraining.corpus import text_rows
from trainer.pretraining.pairs import RECIPE, pairs_of, read_recipe
from trainer.runtime.files import write_json
from trainer.summarizers.choice import FITTED, Weighing, best_supported, centralities
from trainer.summarizers.leads import LeadTest, lead_features
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

KEPT = 0.93
WEIGHTS = (1.0, 2.0, 5.0)
BONUSES = (0.0, 0.3, 0.5, 0.7, 1.0)
TOLERANCE = 0.02
ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")


def fit_lead_test(
    with_lead: Sequence[str], without_lead: Sequence[str], seed: int
) -> tuple[LeadTest, dict[str, float]]:
    """The test for a lead, and how well it tells texts that it was not fitted on.

    Args:
        with_lead, without_lead: whole articles, and articles whose lead was cut off, each of two sentences or more.
        seed: of the five parts.

    Returns:
        The test, and `auc`, `kept` (share of the texts with lead whose first sentence is taken for it) and `mistaken`
        (share of the others), all by cross-validation.
    """
    rows = [_features(text) for text in [*with_lead, *without_lead]]
    names = list(rows[0])
    features = np.array([[row[name] for name in names] for row in rows])
    labels = np.arange(len(rows)) < len(with_lead)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    order = np.random.default_rng(seed).permutation(len(rows))
    features, labels = features[order], labels[order]
    judged = cross_val_predict(model, features, labels, cv=5, method="predict_proba")[:, 1]
    threshold = float(np.quantile(judged[labels], 1 - KEPT))
    scaler, regression = model.fit(features, labels)
    weights = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - weights @ scaler.mean_)
    test = LeadTest(dict(zip(names, weights.tolist(), strict=True)), intercept, threshold)
    taken = judged >= threshold
    return test, {
        "auc": float(roc_auc_score(labels, judged)),
        "kept": float(taken[labels].mean()),
        "mistaken": float(taken[~labels].mean()),
    }


def _features(text: str) -> dict[str, float]:
    sentences = split_sentences(text)
    return lead_features(sentences, centralities(sentences))


def rouge_by_setting(model: str, test: LeadTest, rows: Sequence[dict]) -> list[dict[str, float]]:
    """For each of `WEIGHTS` and `BONUSES` the mean F1, in [0, 1], of the sentences chosen so, by ROUGE type."""
    sources, references = ([str(row[name]) for row in rows] for name in ("document", "summary"))
    candidates = Seq2SeqSummarizer.of(load_summarizer(model), model).candidates(sources)
    found = []
    for weight, bonus in itertools.product(WEIGHTS, BONUSES):
        weighing = Weighing(test, weight, bonus)
        chosen = [best_supported(*pair, weighing).text for pair in zip(candidates, sources, strict=True)]
        scores = rouge(chosen, references, ROUGE_TYPES)
        means = {name: scores.mean(name) for name in ROUGE_TYPES}
        found.append({"centrality_weight": weight, "first_bonus": bonus} | means)
    return found


def kept_setting(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of what `rouge_by_setting` gives, the setting that is kept."""
    sums = [sum(scores[name] for name in ROUGE_TYPES) for scores in found]
    near = [
        (scores["first_bonus"], total, place) for place, (scores, total) in enumerate(zip(found, sums, strict=True))
    ]
    *_, place = max(setting for setting in near if setting[1] >= (1 - TOLERANCE) * max(sums))
    return found[place]


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 2 for something wrong in what was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text_dir", type=Path, required=True, help="Folder that holds the files of the recipe.")
    parser.add_argument("--model", required=True, help="Folder of the model that chooses among sentences.")
    parser.add_argument("--validation_file", type=Path, required=True, help="document and summary, for the weight.")
    parser.add_argument("--max_validation_samples", type=int, default=150, help="Its first rows; default 150.")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="YAML; default trainer/recipes/pairs/starter.yaml.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draw of the articles and of the five parts.")
    parser.add_argument("--output_file", type=Path, default=FITTED, help="Default trainer/summarizers/choice.json.")
    given = parser.parse_args(argv)
    try:
        texts = {"lead": [], "document": []}
        for file in read_recipe(given.recipe):
            if file.kind in texts:
                texts[file.kind] += [pair["document"] for pair in pairs_of(file, given.text_dir, given.seed)[0]]
        test, quality = fit_lead_test(texts["lead"], texts["document"], given.seed)
        rows = list(text_rows(given.validation_file))[: given.max_validation_samples]
        by_setting = rouge_by_setting(given.model, test, rows)
    except UserError as error:
        print(f"choice: {error}", file=sys.stderr)
        return 2
    kept = kept_setting(by_setting)
    record = {
        "lead_test": asdict(test),
        **{name: kept[name] for name in ("centrality_weight", "first_bonus")},
        "how": {
            "command": "python -m trainer.pretraining.choice",
            "recipe": given.recipe.name,
            "seed": given.seed,
            "with_lead": len(texts["lead"]),
            "without_lead": len(texts["document"]),
            **quality,
            "validation_file": given.validation_file.name,
            "validation_rows": len(rows),
            "rouge_fmeasure": by_setting,
        },
    }
    write_json(given.output_file, record)
    print(json.dumps(record["how"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
