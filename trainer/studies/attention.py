"""Where a model looks while it writes its summaries: attention weights beside integrated gradients.

Attention says where the decoder looks (the mean of its layers' and heads' weights, summed over the summary's tokens),
integrated gradients what moved the log-probability of the summary. Both are folded to the article's words; a word's
part is |score| ÷ Σ |scores| over the words that were read, since scores of gradients have signs. What all words of a
kind get is compared with how many words are of that kind.
"""

import re
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.attribution.attention import CrossAttention
from trainer.attribution.base import shares
from trainer.attribution.folding import fold_to, run_bounds, sentence_bounds
from trainer.attribution.matrix import IntegratedGradients, Pair
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.metrics.facts import facts_of
from trainer.metrics.words import FUNCTION_WORDS, words_of
from trainer.report.tables import Table
from trainer.runtime.durations import spoken
from trainer.runtime.lock import FolderLock
from trainer.scoring.significance import holm
from trainer.settings.studies import ExplanationStudy
from trainer.studies.drawings import attention_drawing
from trainer.studies.explanations import ALPHA, Explained, Journal, described, each, mean_record, told
from trainer.studies.trainings import Findings, write_study

METHODS = {"attention": CrossAttention(), "integrated gradients": IntegratedGradients()}
NAMES, NUMBERS, DATES, FUNCTION, OTHER = KINDS = ("names", "numbers", "dates", "function words", "other words")
FIRST, COPIED = "first sentence", "stretch that the summary copies"
TENTHS = [f"tenth {number}" for number in range(1, 11)]
PARTS = (*KINDS, FIRST, COPIED, *TENTHS)
LISTED = 12  # words of a list
_KIND_OF_FACT = {"name": NAMES, "number": NUMBERS, "date": DATES}


def attention(study: ExplanationStudy, say: Callable[[str], None] = print) -> Findings:
    """The whole study; killed anywhere, the same call goes on with the next article."""
    own = study.own
    with FolderLock() as lock:
        study.output_dir.mkdir(parents=True, exist_ok=True)
        lock.take(study.output_dir)
        split = load_split(study.data.to_read(), study.data.split, say)
        explained = Explained.load(own.model, own.max_source_length)
        journal = Journal(study.output_dir / "measured.jsonl", {"model": explained.record()})
        seconds = 0.0
        for place, example in each(split, say):
            if own.report_only or journal.find(example.source, "shares"):
                continue
            start = time.perf_counter()
            journal.add(example.source, example.id, "shares", shares_of(explained.pair(example.source)))
            if not seconds:
                seconds = time.perf_counter() - start
                say(f"By the first article, what is left should take {spoken(seconds * (len(split) - place - 1))}.")
        lines = [line for one in split.examples if (line := journal.find(one.source, "shares"))]
        if len(lines) < 2:
            raise UserError("Fewer than two articles are measured: there is nothing to report yet.")
        values = {**described(own, explained, split, len(lines)), **summed(lines, own.least_articles)}
        found = findings(values)
        tenths = {name: [values["shares"][name][part] for part in TENTHS] for name in METHODS}
        kinds = [part for part in PARTS if part not in TENTHS and part in values["ratios"]["attention"]]
        write_study(
            study.output_dir,
            study.name,
            "attention",
            values,
            found,
            attention_drawing(tenths, values["ratios"], kinds),
        )
    return found


def shares_of(pair: Pair) -> dict[str, Any]:
    """One article: what each part of it gets of each method, and what part of its words that is.

    Returns:
        `words`, how many were read; `parts`, part → share of the words; for each method `shares`, part → share of
        Σ |scores| of the words, `prefix` and `end`, the shares of all tokens that fall outside the article; `texts`,
        word → [how often, then for each method its share × the number of words: 1 is the average word's]. A part
        that the article lacks is left out.
    """
    offsets = pair.source.offsets
    read = max(offset[1] for offset in offsets if offset is not None)
    bounds = [bound for bound in run_bounds(pair.article) if bound[0] < read]
    parts = parts_of(pair.article, pair.summary, bounds)
    count = len(bounds)
    record: dict[str, Any] = {"words": count, "parts": {name: float(mask.mean()) for name, mask in parts.items()}}
    texts = [" ".join(words_of(pair.article[start:end])) or pair.article[start:end] for start, end in bounds]
    by_text: dict[str, list[float]] = defaultdict(lambda: [0, *[0.0] * len(METHODS)])
    for text in texts:
        by_text[text][0] += 1
    record["methods"] = {}
    for number, (name, method) in enumerate(METHODS.items(), 1):
        scores = method.attribute(pair, pair.whole).scores[0]
        sizes = np.abs(fold_to(bounds, offsets, scores))
        sizes /= sizes.sum() or 1.0
        outside = shares(pair.source, scores.tolist())
        record["methods"][name] = {
            "shares": {part: float(sizes[mask].sum()) for part, mask in parts.items()},
            "prefix": outside[0],
            "end": outside[1],
        }
        for text, size in zip(texts, sizes, strict=True):
            by_text[text][number] += float(size) * count
    return record | {"texts": {text: [round(value, 4) for value in found] for text, found in by_text.items()}}


def parts_of(article: str, summary: str, bounds: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Part of the article → (words) whether a word belongs to it; parts without a word are left out.

    Each word is of one kind and one tenth. The stretch that the summary copies is there where the summary stands in the
    article word for word.

    Args:
        bounds: (start, end) of the words.
    """
    kinds = kinds_of(article, bounds)
    tenths = np.arange(len(bounds)) * 10 // len(bounds)
    starts = np.array([start for start, _ in bounds])
    found = {kind: np.array([one == kind for one in kinds]) for kind in KINDS}
    found[FIRST] = starts < sentence_bounds(article)[0][1]
    place = article.find(summary)
    if place >= 0:
        found[COPIED] = (starts >= place) & (starts < place + len(summary))
    found |= {name: tenths == number for number, name in enumerate(TENTHS)}
    return {name: mask for name, mask in found.items() if mask.any()}


def kinds_of(article: str, bounds: list[tuple[int, int]]) -> list[str]:
    """The kind of each word: of a fact (`trainer.metrics.facts`), a function word, or another."""
    kinds = []
    for start, end in bounds:
        words = words_of(article[start:end])
        kinds.append(FUNCTION if words and all(word in FUNCTION_WORDS for word in words) else OTHER)
    starts = [start for start, _ in bounds]
    for first, last in sentence_bounds(article):
        place = first
        for fact in facts_of(article[first:last]):
            for token in fact.text.split():
                # A fact says its words, not where they stand; they come in order.
                match = re.compile(rf"(?<!\w){re.escape(token)}(?!\w)").search(article, place, last)
                if match and match.start() < bounds[-1][1]:
                    place = match.end()
                    kinds[bisect_right(starts, match.start()) - 1] = _KIND_OF_FACT[fact.kind]
    return kinds


def summed(lines: Sequence[Mapping[str, Any]], least_articles: int) -> dict[str, Any]:
    """The record: means over articles.

    Returns:
        `parts`, part → share of the words; for each method `shares`, part → share of what all words get, `beyond`, its
        difference from the share of the words with p after Holm's correction, `ratios`, the one ÷ the other, `prefix`
        and `end`, and `top_words`, the words that get most, each with how many articles have it.
    """
    parts = {part: mean_record([line["parts"].get(part) for line in lines]) for part in PARTS}
    parts = {part: record for part, record in parts.items() if record}
    record: dict[str, Any] = {"parts": parts, "words_read": mean_record([line["words"] for line in lines])}
    for group in ("shares", "beyond", "ratios", "prefix", "end", "top_words"):
        record[group] = {}
    for number, name in enumerate(METHODS, 1):
        own = [line["methods"][name] for line in lines]
        shares_ = {part: mean_record([one["shares"].get(part) for one in own]) for part in parts}
        beyond = {}
        for part in parts:
            both = [(one["shares"].get(part), line["parts"].get(part)) for one, line in zip(own, lines, strict=True)]
            beyond[part] = mean_record([share - words for share, words in both if share is not None])
        for one, p in zip(beyond.values(), holm([one["p"] for one in beyond.values()]), strict=True):
            one["p_holm"] = p
        record["shares"][name], record["beyond"][name] = shares_, beyond
        record["ratios"][name] = {part: shares_[part]["value"] / parts[part]["value"] for part in parts}
        record["prefix"][name], record["end"][name] = (
            mean_record([one[where] for one in own]) for where in ("prefix", "end")
        )
        record["top_words"][name] = _top_words(lines, number, least_articles)
    return record


def _top_words(lines: Sequence[Mapping[str, Any]], number: int, least_articles: int) -> list[dict[str, Any]]:
    """The words that get most in the mean of their occurrences, 1 being the average word of an article."""
    occurrences: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for text, found in line["texts"].items():
            occurrences[text].append(found[number] / found[0])
    means = {text: float(np.mean(found)) for text, found in occurrences.items() if len(found) >= least_articles}
    best = sorted(means, key=lambda text: -means[text])[:LISTED]
    return [{"word": text, "times": means[text], "articles": len(occurrences[text])} for text in best]


def findings(values: Mapping[str, Any]) -> Findings:
    """The table of parts and the paragraph; values as in study.json."""
    rows = []
    for part, words in values["parts"].items():
        cells = [told(values["shares"][name][part], 100) for name in METHODS]
        times = [f"{values['ratios'][name][part]:.2f}" for name in METHODS]
        rows.append([part, str(words["n"]), f"{100 * words['value']:.1f}", *cells, *times])
    head = ["Part of the article", "n", "% of the words", *(f"% of {name}" for name in METHODS)]
    head += [f"times its words, {name}" for name in METHODS]
    notes = (
        "Means over the articles that have the part, with 95% intervals. A word's part of integrated gradients is "
        "|score| ÷ Σ |scores| of the words read; of attention it is the mean weight of all layers and heads, summed "
        "over the summary's tokens. Names, numbers and dates are found by their spelling. Words are runs without white "
        "space, so that a comma counts with the word before it."
    )
    return Findings(Table(head, rows), _text(values), notes)


def _text(values: Mapping[str, Any]) -> str:
    data, limit = values["data"], values["model"]["decoding"]["max_source_length"]
    sentences = [
        f"Measured on the summaries that {values['model']['system']} writes of {data['n']} articles of "
        f"{data['dataset']}, of which it reads {limit} tokens at most."
    ]
    for name in METHODS:
        ratios, beyond = values["ratios"][name], values["beyond"][name]
        shown = [part for part in ratios if part not in TENTHS and beyond[part]["p_holm"] < ALPHA]
        more = sorted((part for part in shown if ratios[part] > 1), key=lambda part: -ratios[part])
        less = sorted((part for part in shown if ratios[part] <= 1), key=lambda part: ratios[part])
        tenths = {part: values["shares"][name][part] for part in TENTHS if part in values["parts"]}
        most = max(tenths, key=lambda part: tenths[part]["value"])
        sentences.append(
            f"{name.capitalize()}: more than their share of the words get {_listed(more, ratios)}; less get "
            f"{_listed(less, ratios)} (p < {ALPHA} after Holm's correction). Of the article's ten tenths number "
            f"{most.removeprefix('tenth ')} gets most, {told(tenths[most], 100)}% of what all words get. "
            f"The prefix takes {told(values['prefix'][name], 100)}% and the end mark "
            f"{told(values['end'][name], 100)}% of the whole."
        )
        words = [f"“{one['word']}” ({one['times']:.1f})" for one in values["top_words"][name]]
        if words:
            sentences.append(f"Most of it, in times of the average word, get {', '.join(words)}.")
    return " ".join(sentences)


def _listed(parts: Sequence[str], ratios: Mapping[str, float]) -> str:
    named = [f"the {part}" if part in (FIRST, COPIED) else part for part in parts]
    return ", ".join(f"{name} ({ratios[part]:.1f} times)" for name, part in zip(named, parts, strict=True)) or "none"
