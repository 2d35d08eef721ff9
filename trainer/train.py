"""Trains a summariser, measures it and publishes it if asked: `python trainer/train.py --recipe smoke`.

`--help` lists every setting; `--recipe NAME` takes those of trainer/recipes/NAME.yaml.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: put the checkout, not trainer/, first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainer.errors import Stopped, UserError
from trainer.runtime.console import steady_output
from trainer.runtime.launch import speaking_rank
from trainer.settings.training import Settings


def train(settings: Settings) -> None:
    """The whole story; killed anywhere, the same call goes on from where it was."""
    # Imported here, so that --help and a mistyped flag are answered before torch has been loaded.
    from trainer.data.language import language_of
    from trainer.data.load import load_split
    from trainer.data.splits import leakage_notes
    from trainer.data.unknown import unknown_notes
    from trainer.models.start import start_model
    from trainer.publishing.card import update_card
    from trainer.publishing.publish import check_push
    from trainer.runtime.lock import FolderLock
    from trainer.runtime.processes import Processes
    from trainer.scoring.measure import wordless_notes
    from trainer.training.checkpoints import TrainingRun
    from trainer.training.finish import check_finished, finish
    from trainer.training.fit import fit
    from trainer.training.stops import explained

    processes = Processes.join()
    for note in (settings.page(), *settings.hub.notes()):
        processes.say(note)
    with explained(settings), FolderLock() as lock:
        with processes.in_turn():
            if processes.first:
                lock.take(settings.output_dir)
                run = TrainingRun.open(settings, processes.n)
                lock.take(run.folder)  # new, or made anew by --from_start
            else:
                run = TrainingRun(settings.output_dir)
        repo_id = None
        if settings.hub.push and processes.first:
            repo_id = check_push(settings.hub, settings.model.name, settings.data.name)

        if run.finished:
            if processes.first:
                check_finished(settings, run)
            if processes.first and run.names_other_files(settings.data):
                run.check_data({name: load_split(settings.data, name).fingerprint for name in ("train", "validation")})
            processes.say(f"\nThis run is finished; its model is in {run.model}. To train anew, add --from_start.")
            if processes.first:
                update_card(run.model, settings.hub)
        else:
            with processes.in_turn():
                splits = {name: load_split(settings.data, name, say=processes.say) for name in settings.data.splits}
                run.check_data({name: splits[name].fingerprint for name in ("train", "validation")})
                if settings.hub.language is not None:  # a wrong one is told before the training, not after it
                    language_of(splits["train"].examples, settings.hub.language)
                texts = [text for pair in splits["train"].examples for text in (pair.source, pair.target)]
                model, tokenizer, revision = start_model(settings, run.vocabulary, texts)
            processes.share_cores(model.num_parameters())
            notes = [note for split in splits.values() for note in split.notes()] + leakage_notes(*splits.values())
            notes += wordless_notes(*(split for name, split in splits.items() if name != "train"))
            for note in notes + unknown_notes(splits.values(), tokenizer, settings.data):
                processes.say(note)
            if run.trained is None:
                fit(settings, run, model, tokenizer, splits["train"], splits["validation"])
            if not processes.part():
                return
            results = finish(settings, run, splits, revision, repo_id)
            print(f"\n{results.table()}\n\nModel, results and card are in {run.model}.")

        if settings.hub.push and processes.first:
            publish(run.model, repo_id, settings.hub.private)


def push_only(settings: Settings) -> None:
    """Publishes a folder that an earlier run finished.

    Raises:
        UserError: it is none, or the Hub says no before anything is sent.
    """
    from trainer.publishing.card import update_card
    from trainer.publishing.publish import check_push
    from trainer.scoring.records import Results

    folder = settings.hub.push_only
    if (folder / "model" / "results.json").is_file() and not (folder / "config.json").is_file():
        raise UserError(
            f"--push_only is {folder}: that is a run. Its finished model is in {folder / 'model'}: name that."
        )
    if not folder.is_dir() or not (folder / "results.json").is_file():
        raise UserError(f"--push_only is {folder}: there is no results.json, so no training has finished there.")
    trained = Results.load(folder / "results.json").training
    if "system" not in trained:
        raise UserError(
            f"--push_only is {folder}: that is an evaluation, which holds no model. Name the finished model of a "
            "training, <output_dir>/model."
        )
    base, _, dataset = trained["system"].partition("-finetuned-")
    repo_id = check_push(settings.hub, base, dataset)
    update_card(folder, settings.hub)
    publish(folder, repo_id, settings.hub.private)


def publish(folder: Path, repo_id: str, private: bool) -> None:
    from trainer.publishing.publish import push_model

    try:
        push_model(folder, repo_id, private)
    except UserError as error:
        raise Stopped(str(error)) from error


@steady_output()
def main(argv: list[str] | None = None) -> int:
    """Returns 0, 2 for something wrong in what was asked or given, 1 for something that went wrong on the way."""
    try:
        settings = Settings.parse(sys.argv[1:] if argv is None else argv)
        push_only(settings) if settings.hub.push_only else train(settings)
    except UserError as error:
        rank = speaking_rank()
        if rank == 0 or error.exit_code == 1:  # what is wrong in the asking is the same in every process
            print(f"\n{f'Process {rank}: ' if rank else ''}{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
