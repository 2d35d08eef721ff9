"""How much a summariser suffers when articles are noisy or biased, and how often what was planted reaches the summary.

Each change at each strength makes another data set of the same pairs, summarised and scored by the code of
trainer/eval.py; the references stay. So a change that alters what is true (other numbers, other places) loses ROUGE
also where the summariser is faithful to what it was given.
"""

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from trainer.data.load import load_split
from trainer.data.noise import CHANGES, Changed, reached
from trainer.data.sentences import split_sentences
from trainer.data.splits import Example, Split
from trainer.errors import UserError
from trainer.metrics.lengths import lengths
from trainer.metrics.rouge import rouge_metric
from trainer.report.reading import share
from trainer.report.tables import Table
from trainer.runtime.durations import spoken
from trainer.runtime.environment import environment
from trainer.runtime.figures import ABSENT, with_interval
from trainer.runtime.lock import FolderLock
from trainer.runtime.processes import Processes
from trainer.scoring.blocks import predict
from trainer.scoring.jobs import Job
from trainer.scoring.measure import Measured, measure
from trainer.scoring.run import Run
from trainer.scoring.significance import compare
from trainer.settings.base import check_known, public_name, slug
from trainer.settings.studies import RobustnessStudy
from trainer.studies.drawings import differences_drawing
from trainer.studies.explanations import Explained, Journal, can_be_explained, told
from trainer.studies.moved import explain_changes
from trainer.studies.trainings import Findings, write_study
from trainer.summarizers.systems import parse_system

METRICS = (rouge_metric, lengths)
FIGURES = {"rouge1_fmeasure": "ROUGE-1", "rouge2_fmeasure": "ROUGE-2", "rougeL_fmeasure": "ROUGE-L"}
CLEAN = "unchanged"
BLOCK = 64  # articles between two writes to the disk
ALPHA = 0.05
SMALL = 0.01  # a difference of ROUGE F1 below one point is called small
MOVED = ("explained: rank correlation", "same strongest sentence")
TITLES = {"rouge1_fmeasure": ("ROUGE-1", 100, 2)}


def robustness(study: RobustnessStudy, say: Callable[[str], None] = print) -> Findings:
    """The whole study; killed anywhere, the same call goes on from the last block of articles."""
    own = study.own
    changes = changes_of(own.changes)
    with FolderLock() as lock:
        study.output_dir.mkdir(parents=True, exist_ok=True)
        lock.take(study.output_dir)
        split = load_split(study.data.to_read(), study.data.split, say)
        systems = [
            parse_system(spec, seed=own.seed, batch_size=own.batch_size, scores=True) for spec in own.system_list
        ]
        jobs = [
            Job(public_name(spec), lambda it=system: it, spec, required=True)
            for spec, system in zip(own.system_list, systems, strict=True)
        ]
        work = study.output_dir / "work"
        whole: dict[str, tuple[dict[str, Measured], dict[str, list[str]], list[Changed]]] = {}
        for number, (name, strength) in enumerate(changes):
            label = label_of(name, strength)
            changed = change_all(split.examples, name, strength, own.seed)
            examples = [replace(one, source=new.text) for one, new in zip(split.examples, changed, strict=True)]
            say(f"{label} …")
            run = Run(work / slug(label), BLOCK)
            run.begin(
                replace(split, examples=examples), {"change": label, "seed": own.seed}, [job.name for job in jobs]
            )
            predict(run, jobs, METRICS, Processes(0, 1))
            measured = measure(run, jobs, METRICS, 1000, own.seed)
            texts = {job.name: [line["prediction"] for line in run.ledger.records(job.name)] for job in jobs}
            whole[label] = measured, texts, changed
            if number == 0:
                seconds = sum(one.seconds for one in measured.values())
                say(f"{len(changes) - 1} changes follow; they should take {spoken(seconds * (len(changes) - 1))}.")
        compared = comparisons(whole, changes, split, own.test_samples, own.seed)
        for job, system in zip(jobs, systems, strict=True):
            if own.explained and can_be_explained(system):
                mine = [one for one in compared if one["system"] == job.name]
                articles = [
                    (one.id, one.source, summary)
                    for one, summary in zip(split.examples[: own.explained], whole[CLEAN][1][job.name], strict=False)
                ]
                _explain(Explained(job.name, system), articles, mine, whole, work, say)
        values = {
            "evaluations": [asdict(one.evaluation) for one in whole[CLEAN][0].values()],
            "environment": environment(),
            "seed": own.seed,
            "comparisons": compared,
        }
        found = findings(values)
        first = [one for one in compared if one["system"] == jobs[0].name]
        write_study(
            study.output_dir, study.name, "robustness", values, found, differences_drawing(first, TITLES, TITLES)
        )
        shutil.rmtree(work)
    return found


def _explain(
    explained: Explained,
    articles: Sequence[tuple[str, str, str]],
    compared: Sequence[dict[str, Any]],
    whole: Mapping[str, Any],
    work: Path,
    say: Callable[[str], None],
) -> None:
    """Adds to each change of a system how far it moves the explanations of the system's summaries."""
    model = explained.record()
    changed = {one["change"]: [new.text for new in whole[one["change"]][2][: len(articles)]] for one in compared}
    journal = Journal(work / f"explained-{slug(model['system'])}.jsonl", {"model": model})
    found = explain_changes(explained, articles, changed, journal, say)
    for one in compared:
        one["attribution"] = found[one["change"]]


def changes_of(asked: Mapping[str, Sequence[float]]) -> list[tuple[str, float | None]]:
    """(name, strength) of every data set, the unchanged one first.

    Raises:
        UserError: an unknown name, with the nearest.
    """
    for name in asked:
        check_known(name, CHANGES, "change of articles")
        if not asked[name]:
            raise UserError(f"changes.{name} is empty: list the strengths to try.")
    wanted = asked or {name: change.strengths for name, change in CHANGES.items()}
    return [(CLEAN, None), *((name, strength) for name, strengths in wanted.items() for strength in strengths)]


def label_of(name: str, strength: float | None) -> str:
    """`typos, 0.3`; the name alone where there is one strength only."""
    if strength is None or CHANGES[name].about == "always":
        return name
    return f"{name}, {strength:g}"


def change_all(examples: Sequence[Example], name: str, strength: float | None, seed: int) -> list[Changed]:
    """Every article changed; each by a generator of its own, so that none depends on the others."""
    if strength is None:
        return [Changed(one.source) for one in examples]
    openings = [(split_sentences(one.source) or [""])[0] for one in examples]
    changed = []
    for place, one in enumerate(examples):
        draw = random.Random(f"{seed} {name} {strength} {one.id}")
        others = openings[:place] + openings[place + 1 :]
        changed.append(CHANGES[name].apply(one.source, strength, draw, others or [""]))
    return changed


def comparisons(
    whole: Mapping[str, Any], changes: Sequence[tuple[str, float | None]], split: Split, samples: int, seed: int
) -> list[dict[str, Any]]:
    """Each change of each system against the same system on the unchanged articles; paired, Holm over all changes."""
    clean, clean_texts, _ = whole[CLEAN]
    found = []
    for system in clean:
        tests = {
            figure: {
                one.system: one
                for one in compare(
                    figure,
                    {label: part[0][system].columns.figure(figure) for label, part in whole.items()},
                    CLEAN,
                    samples,
                    seed,
                )
            }
            for figure in FIGURES
        }
        for name, strength in changes[1:]:
            label = label_of(name, strength)
            measured, texts, changed = whole[label]
            one: dict[str, Any] = {"system": system, "change": label, "kind": CHANGES[name].kind, "strength": strength}
            for figure in FIGURES:
                test = tests[figure][label]
                one[figure] = {
                    "changed": measured[system].evaluation.metrics[figure].value,
                    "value": test.difference,
                    "low": test.low,
                    "high": test.high,
                    "p_holm": max(test.p_bootstrap_holm, test.p_randomization_holm),
                }
            altered = [new.text != old.source for new, old in zip(changed, split.examples, strict=True)]
            one["articles_changed"] = sum(altered)
            one["summaries_changed"] = sum(a != b for a, b in zip(texts[system], clean_texts[system], strict=True))
            planted = [(new.planted, text) for new, text in zip(changed, texts[system], strict=True) if new.planted]
            if planted:
                came = sum(reached(words, text) for words, text in planted)
                interval = binomtest(came, len(planted)).proportion_ci(method="wilson")
                one["planted"] = {"n": len(planted), "reached": came, "low": interval.low, "high": interval.high}
            found.append(one)
    return found


def findings(values: Mapping[str, Any]) -> Findings:
    """The table of changes and the paragraph; values as in study.json."""
    rows = []
    compared = values["comparisons"]
    several = len(values["evaluations"]) > 1
    explained = MOVED if any("attribution" in one for one in compared) else ()
    for one in values["evaluations"]:
        data, metrics = one["data"], one["metrics"]
        clean = [f"{100 * metrics[figure]['value']:.2f}" for figure in FIGURES]
        rows.append([*([one["system"]] if several else []), CLEAN, *clean, *[ABSENT] * (2 + len(explained))])
        for change in compared:
            if change["system"] == one["system"]:
                cells = [_delta(change[figure]) for figure in FIGURES]
                moved = f"{100 * change['summaries_changed'] / data['n']:.0f}%"
                first = [one["system"]] if several else []
                rows.append(
                    [*first, change["change"], *cells, moved, _planted(change), *_moved(change)[: len(explained)]]
                )
    titles = [f"Δ {title}" for title in FIGURES.values()]
    head = [*(["System"] if several else []), "Articles", *titles, "summaries changed", "planted text reached"]
    head += explained
    notes = (
        f"The first row of a system is its ROUGE F1 × 100 on the unchanged articles ({data['dataset']}, n = "
        f"{data['n']}); the others are paired differences from it with 95% bootstrap intervals. A number behind a "
        "change is its strength: a share, or a count of lines or sentences. Planted text reached is the share, with "
        "Wilson's interval, of articles with a planted falsehood or foreign sentence whose summary holds it: any of "
        "the planted words, or four words in a row of a sentence."
    )
    if explained:
        notes += (
            " Explained is the summary of the unchanged article, by that article and by the changed one: the rank "
            "correlation of the words that both have, and the share of articles with the same strongest sentence."
        )
    return Findings(Table(head, rows, texts=2 if several else 1), _text(values), notes)


def _delta(record: Mapping[str, float]) -> str:
    return with_interval(record["value"], record["low"], record["high"], 100, 2, "+")


def _planted(change: Mapping[str, Any]) -> str:
    planted = change.get("planted")
    if not planted:
        return ABSENT
    return _share_of(planted["reached"], planted["n"])


def _share_of(part: int, n: int) -> str:
    """`58% [44, 71] of 50`."""
    return f"{share([1] * part + [0] * (n - part))} of {n}"


def _moved(change: Mapping[str, Any]) -> list[str]:
    """The cells of `MOVED`."""
    found = change.get("attribution")
    if not found or not found["same_sentence"]:
        return [ABSENT] * len(MOVED)
    same = found["same_sentence"]
    return [told(found["spearman"], digits=2), _share_of(same["same"], same["n"])]


def _explanations(changes: Sequence[Mapping[str, Any]]) -> str:
    """How far changes move the explanations, from the most to the least; empty where none was explained."""
    there = [one for one in changes if (one.get("attribution") or {}).get("spearman")]
    if not there:
        return ""
    there.sort(key=lambda one: one["attribution"]["spearman"]["value"])
    method, n = there[0]["attribution"]["method"].replace("_", " "), there[0]["attribution"]["n"]
    listed = "; ".join(f"{one['change']} {_moved(one)[0]} and {_moved(one)[1]}" for one in there)
    return (
        f"Explained again by the changed article ({method}, {n} articles or fewer), the same summary's words keep "
        f"their ranks, and the same sentence stays the strongest, to this degree: {listed}."
    )


def _text(values: Mapping[str, Any]) -> str:
    """What can be said of each system."""
    sentences = []
    for one in values["evaluations"]:
        mine = [change for change in values["comparisons"] if change["system"] == one["system"]]
        record = one["metrics"]["rouge1_fmeasure"]
        seen = sorted(
            (c for c in mine if c["rouge1_fmeasure"]["p_holm"] < ALPHA), key=lambda c: c["rouge1_fmeasure"]["value"]
        )
        sentences.append(
            f"{one['system']} has ROUGE-1 {100 * record['value']:.2f} on {one['data']['n']} unchanged articles. Of "
            f"{len(mine)} changes {len(seen)} move it beyond chance (p < {ALPHA} after Holm's correction)"
            + (": " + "; ".join(_said(change) for change in seen) + "." if seen else ".")
        )
        rest = [change["rouge1_fmeasure"] for change in mine if change not in seen]
        if rest:
            widest = 100 * max((record["high"] - record["low"]) / 2 for record in rest)
            sentences.append(
                f"For the other {len(rest)} nothing is shown; differences up to about {widest:.1f} may be there."
            )
        planted = sorted(
            (c for c in mine if "planted" in c), key=lambda c: -c["planted"]["reached"] / c["planted"]["n"]
        )
        if planted:
            listed = "; ".join(f"{change['change']} {_planted(change)}" for change in planted[:4])
            sentences.append(f"What was planted reached its summary most often for: {listed}.")
        sentences.append(_explanations(mine))
    return " ".join(filter(None, sentences))


def _said(change: Mapping[str, Any]) -> str:
    small = ", small" if abs(change["rouge1_fmeasure"]["value"]) < SMALL else ""
    return f"{change['change']} ({_delta(change['rouge1_fmeasure'])}{small})"
