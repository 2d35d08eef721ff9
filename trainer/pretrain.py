"""Pre-trains a small T5 from random weights on any text.

    python trainer/pretrain.py --recipe base --text_dir FOLDER

The text is asked about in many ways (trainer/pretraining/objectives.py): spans, gap sentences, lead sentences, titles,
summaries and what comes next. Weights start copy-ready (trainer/models/initialisation.py) and the first steps only
exercise copying.
Start the same command again after a stop and it goes on exactly where the last checkpoint was. The learning rate stays
level after the warm-up; `--cooldown_steps N` takes it to zero over N further steps and writes the finished model, so a
run can be finished at any time and still be continued from before its cool-down (Hu et al. 2024, MiniCPM, section 4).
`--model FOLDER` starts with a model's weights and vocabulary instead.
"""

import sys
from dataclasses import replace
from pathlib import Path

if __package__ in (None, ""):  # run as a file: put the checkout, not trainer/, first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainer.errors import UserError
from trainer.runtime.console import steady_output
from trainer.runtime.lock import FolderLock
from trainer.settings.pretraining import PretrainSettings, parse


@steady_output()
def main(argv: list[str] | None = None) -> int:
    """The story: settings → vocabulary → text → model → steps → finished model."""
    try:
        with FolderLock() as lock:
            run(parse(sys.argv[1:] if argv is None else argv), lock)
    except UserError as error:
        print(f"pretrain: {error}", file=sys.stderr)
        return 2
    return 0


def run(settings: PretrainSettings, lock: FolderLock) -> None:
    """Pre-trains, or goes on with, the run in `settings.output_dir`; the finished model is in its folder `model`.

    Takes the lock on that folder.
    """
    # Imported here, so that --help and a mistyped flag are answered before torch has been loaded.
    import torch

    from trainer.pretraining.corpus import is_cached, load_corpus
    from trainer.pretraining.loop import (
        COOLDOWN,
        TrainingState,
        cut_log,
        model_to_pretrain,
        pretrain,
        save_base,
        vocabulary,
    )
    from trainer.pretraining.mixture import Mixture
    from trainer.runtime.hardware import bf16_set_aside, chosen_device, has_bf16

    device = chosen_device(settings.device)
    settings = replace(settings, device=device.type)
    if settings.precision == "bf16" and not has_bf16(device):
        print(bf16_set_aside(device))
        settings = replace(settings, precision="fp32")
    paths = {name: settings.text_dir / name for name in settings.texts}
    output_dir = settings.output_dir
    cache = settings.corpus_cache or output_dir / "cache"
    for name, path in paths.items():
        # A run's own cache does not stand in for the texts: the folder may be mistyped.
        if not path.is_file() and not (settings.corpus_cache and is_cached(cache, name)):
            raise UserError(f"text file {path} does not exist")
    output_dir.mkdir(parents=True, exist_ok=True)
    lock.take(output_dir)
    torch.manual_seed(settings.seed)
    tokenizer = vocabulary(settings, list(paths.values()))
    corpora = {name: load_corpus(path, tokenizer, cache, name) for name, path in paths.items()}
    mixture = Mixture(corpora, settings, tokenizer)
    state = TrainingState(model_to_pretrain(settings, tokenizer).to(device), settings)
    state.resume(output_dir)
    print(
        f"{sum(p.numel() for p in state.model.parameters()) / 1e6:.1f} M parameters, vocabulary {len(tokenizer)}, "
        f"{sum(c.n_tokens for c in corpora.values()) / 1e6:.1f} M tokens of text; at step {state.step}",
        flush=True,
    )
    cut_log(output_dir / "log.jsonl", state.step)
    pretrain(state, mixture, output_dir)
    if settings.cooldown_steps and state.step == state.end:
        save_base(state.model, tokenizer, output_dir / "model", settings)
        (output_dir / COOLDOWN).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
