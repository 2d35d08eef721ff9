"""From the best checkpoint to the finished folder: saved, loaded again as anybody would, scored, and given its card.

The folder is filled under another name and renamed at the end: a finished model is whole, or it is not there.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from trainer.data.language import language_of
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.models.load import DTYPES, load_model, start_model
from trainer.models.task import remember_task
from trainer.publishing.card import write_card
from trainer.runtime.files import give_usual_mode
from trainer.scoring.in_memory import evaluate_system
from trainer.scoring.records import Results
from trainer.settings.base import public_name
from trainer.settings.groups import read_card_notes
from trainer.settings.training import Settings
from trainer.summarizers.base import Summarizer
from trainer.summarizers.extractive import LeadN, RandomN
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.training.checkpoints import TrainingRun


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

    Raises:
        UserError: the checkpoint can't be read, or a system can't be scored.
    """
    part = run.folder / "model.part"
    shutil.rmtree(part, ignore_errors=True)
    training = run.trained
    save_finished(settings, run.intact_checkpoint(training["best_step"]), part)
    results = Results(
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
    )
    test = splits.get("test", splits["validation"])
    predictions = []
    for summarizer in systems(settings, run, part):
        with _bar(len(test.examples), summarizer.describe()["system"]) as progress:
            evaluation, made = evaluate_system(
                summarizer,
                test,
                bootstrap_samples=settings.evaluation.bootstrap_samples,
                bootstrap_seed=settings.optimisation.seed,
                progress=progress,
            )
        results.evaluations.append(evaluation)
        predictions += made
    with (run.folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in predictions)
    results.save(part / "results.json")
    write_card(part, repo_id)
    part.rename(run.model)
    return results


def save_finished(settings: Settings, checkpoint: Path, folder: Path) -> None:
    """Saves the weights of a checkpoint with all that using them needs, in the number format asked for."""
    model, tokenizer, _ = load_model(checkpoint)
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


def systems(settings: Settings, run: TrainingRun, folder: Path) -> Iterator[Summarizer]:
    """The finished model, then what it is compared with, one at a time so that one model is in memory."""
    yield _summarizer(load_model(folder), settings.name, settings)
    if not settings.evaluation.baselines:
        return
    start = start_model(settings, run.folder / "vocabulary", [])
    # The same words before the article and the same decoding, or the comparison would be one of settings.
    remember_task(start[0], start[1], settings.data.prefix, settings.data.max_source_length, settings.generation)
    yield _summarizer(start, f"{settings.model.name} (start)", settings)
    for n in (1, 3):
        yield LeadN(n)
    for n in (1, 3):
        yield RandomN(n, settings.optimisation.seed)


def _summarizer(loaded: tuple[Any, Any, str | None], name: str, settings: Settings) -> Seq2SeqSummarizer:
    model, tokenizer, commit = loaded
    if torch.cuda.is_available():
        model.to("cuda")
    model.name_or_path = public_name(name if commit is None else model.name_or_path)
    size = settings.evaluation.eval_batch_size
    return Seq2SeqSummarizer(model, tokenizer, name=name, revision=commit, batch_size=size)


def _split_record(split: Split) -> dict[str, Any]:
    return {
        "name": split.name,
        "dataset": split.dataset,
        "revision": split.revision,
        "n": len(split.examples),
        "fingerprint": split.fingerprint,
        "skipped": len(split.skipped),
    }


@contextmanager
def _bar(total: int, system: str) -> Iterator[Callable[[int, int], None]]:
    """A bar where a terminal shows it, and a line in any case: a system may take an hour."""
    print(f"Scoring {system} on {total:,} articles ...", flush=True)
    with tqdm(total=total, desc=system, disable=not sys.stderr.isatty(), leave=False) as bar:
        yield lambda done, _: bar.update(done - bar.n)
