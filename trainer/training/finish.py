"""From the best checkpoint to the finished folder: saved, loaded again as anybody would, scored, and given its card.

The folder is filled under another name and renamed at the end: a finished model is whole, or it is not there.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.data.language import language_of
from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.metrics.abstraction import abstraction
from trainer.metrics.lengths import lengths
from trainer.metrics.repetition import repetition
from trainer.metrics.rouge import rouge_metric
from trainer.models.load import DTYPES
from trainer.models.start import load_trainable, start_model
from trainer.models.task import remember_task
from trainer.publishing.card import write_card
from trainer.runtime.files import give_usual_mode
from trainer.runtime.processes import Processes
from trainer.scoring.blocks import predict
from trainer.scoring.jobs import Job
from trainer.scoring.measure import measure
from trainer.scoring.records import Evaluation, Results
from trainer.scoring.run import Run
from trainer.settings.base import public_name
from trainer.settings.groups import read_card_notes
from trainer.settings.training import Settings
from trainer.summarizers.extractive import LeadN, RandomN
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training.checkpoints import TrainingRun

METRICS = (rouge_metric, lengths, abstraction, repetition)
# Settings of which a run may get other ones as long as its model is not saved and scored.
SCORED_WITH = (
    ("data", "max_test_samples"),
    ("model", "save_dtype"),
    ("evaluation", "bootstrap_samples"),
    ("evaluation", "baselines"),
)
BLOCK = 256  # articles handed to a system at once, which sorts them by length


def finish(
    settings: Settings,
    run: TrainingRun,
    splits: Mapping[str, Split],
    base_revision: str | None,
    repo_id: str | None = None,
) -> Results:
    """Makes `run.model` from the best checkpoint and returns its results.

    The model is scored as it was saved, so rounding to `save_dtype` is in the figures. The scores are taken on the
    test split, or on the validation split where there is none.

    A system that it is compared with and that fails costs its own row; `analysis["failed"]` says why.

    Raises:
        UserError: the checkpoint can't be read, or the model can't be scored.
    """
    part = run.folder / "model.part"
    shutil.rmtree(part, ignore_errors=True)
    training = run.trained
    save_finished(settings, run.intact_checkpoint(training["best_step"]), part)
    test = splits.get("test", splits["validation"])
    evaluations, failed = score(settings, run, part, test)
    results = Results(
        evaluations=evaluations,
        settings=settings.public(),
        training={
            "system": settings.name,
            "base_model": None if settings.model.from_scratch else public_name(settings.model.model),
            "base_revision": base_revision,
            "splits": [_split_record(splits[name]) for name in ("train", "validation")],
            **training,
            "language": language_of(splits["train"].examples, settings.hub.language),
            **(read_card_notes(settings.hub.card_notes) if settings.hub.card_notes else {}),
        },
        analysis={"failed": [{"system": name, "reason": reason} for name, reason in failed.items()]} if failed else {},
    )
    results.save(part / "results.json")
    write_card(part, repo_id)
    part.rename(run.model)
    return results


def score(settings: Settings, run: TrainingRun, folder: Path, test: Split) -> tuple[list[Evaluation], dict[str, str]]:
    """The records of the model in `folder` and of what it is compared with; and those that failed, with the reason.

    What all of them wrote goes into predictions.jsonl of the run.
    """
    scoring = Run(run.folder / "scoring", BLOCK)
    shutil.rmtree(scoring.folder, ignore_errors=True)  # of a run that was killed while it was scored
    jobs = jobs_of(settings, run, folder)
    scoring.begin(test, {}, [job.name for job in jobs])
    failed = predict(scoring, jobs, METRICS, Processes(0, 1))
    made = [job for job in jobs if job.name not in failed]
    measured = measure(scoring, made, METRICS, settings.evaluation.bootstrap_samples, settings.optimisation.seed)
    scoring.finish([job.name for job in jobs], failed)
    scoring.predictions.replace(run.folder / "predictions.jsonl")
    shutil.rmtree(scoring.folder)
    return [one.evaluation for one in measured.values()], failed


def jobs_of(settings: Settings, run: TrainingRun, folder: Path) -> list[Job]:
    """The finished model, then what it is compared with; each is loaded when its turn comes."""

    def start() -> Seq2SeqSummarizer:
        model, tokenizer, commit = start_model(settings, run.folder / "vocabulary", [])
        # The same words before the article and the same decoding, or the comparison would be one of settings.
        remember_task(model, tokenizer, settings.data.prefix, settings.data.max_source_length, settings.generation)
        return _summarizer((model, tokenizer, commit), base, settings)

    base = f"{settings.model.name} (start)"
    jobs = [Job(settings.name, lambda: _summarizer(load_trainable(folder), settings.name, settings), required=True)]
    if settings.evaluation.baselines:
        baselines = [LeadN(1), LeadN(3), RandomN(1, settings.optimisation.seed), RandomN(3, settings.optimisation.seed)]
        jobs += [Job(base, start), *(Job(system.describe()["system"], lambda it=system: it) for system in baselines)]
    return jobs


def check_finished(settings: Settings, run: TrainingRun) -> None:
    """That the finished model was saved and scored as the settings ask.

    Raises:
        UserError: it was not, or the test pairs can't be read.
    """
    results = Results.load(run.model / "results.json")
    before, now = results.settings, settings.public()
    lines = []
    for group, name in SCORED_WITH:
        old, new = before.get(group, {}).get(name), now[group][name]
        if name in before.get(group, {}) and old != new:
            lines.append(f"  --{name}: {json.dumps(old)} -> {json.dumps(new)}\n")
    old, new = before["data"].get("test_file"), now["data"]["test_file"]
    if new is None and old is not None:
        lines.append(f"  --test_file: {json.dumps(old)} -> null\n")
    elif new is not None and (new != old or settings.data.test_file.exists()):
        fingerprint = load_split(settings.data, "test").fingerprint
        if fingerprint != results.evaluations[0].data["fingerprint"]:
            lines.append(f"  --test_file: {json.dumps(old)} -> {json.dumps(new)}, with other pairs\n")
    if lines:
        raise UserError(
            f"The run in {run.folder} is finished, and its model was saved and scored otherwise:\n{''.join(lines)}"
            f"Give the old settings, or rename {run.model}: then the same command saves and scores the trained weights "
            "anew, and trains nothing. To train anew, add --from_start."
        )


def save_finished(settings: Settings, checkpoint: Path, folder: Path) -> None:
    """Saves the weights of a checkpoint with all that using them needs, in the number format asked for."""
    model, tokenizer, _ = load_trainable(checkpoint)
    remember_task(model, tokenizer, settings.data.prefix, settings.data.max_source_length, settings.generation)
    model.config.use_cache = True  # Trainer turns it off, which would slow down everybody's generation
    model.to(DTYPES[settings.model.save_dtype])
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError(
            f"--save_dtype is {settings.model.save_dtype}: some weights are too large for that format. Take bf16 or "
            "fp32; the training is done and is not repeated."
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    give_usual_mode(folder)


def _summarizer(loaded: tuple[Any, Any, str | None], name: str, settings: Settings) -> Seq2SeqSummarizer:
    model, tokenizer, commit = loaded
    model.name_or_path = public_name(name if commit is None else model.name_or_path)
    size = settings.evaluation.eval_batch_size
    return Seq2SeqSummarizer(model, tokenizer, name=name, revision=commit, batch_size=size, scores=True)


def _split_record(split: Split) -> dict[str, Any]:
    return {
        "name": split.name,
        "dataset": split.dataset,
        "revision": split.revision,
        "n": len(split.examples),
        "fingerprint": split.fingerprint,
        "skipped": len(split.skipped),
    }
