"""Every knob of trainer/pretrain.py, once: field names are the flags."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from typing_extensions import TypedDict

from trainer.errors import UserError
from trainer.settings.base import ROOT
from trainer.settings.machine import REQUIRED, File, Group, Precision, SettingsParser, Share, group, setting

RECIPES = ROOT / "trainer" / "recipes" / "pretrain"
OBJECTIVES = ("span", "gap", "lead", "title", "summary", "continuation")

Weight = Annotated[int | float, pydantic.Field(ge=0)]


@pydantic.with_config(extra="forbid")
class TextWeights(TypedDict, total=False):
    """How often a text is drawn: for all objectives (1 if left out), for some that only good texts serve (else 0)."""

    weight: Weight
    lead: Weight
    title: Weight
    summary: Weight
    held_out_every: Annotated[int, pydantic.Field(ge=1)]


@group
class PretrainSettings(Group):
    """Settings of a pre-training; flags of the same names override a recipe."""

    text_dir: File = setting(REQUIRED, metavar="FOLDER")
    """Folder that holds the text files that the recipe names."""
    recipe: str = setting("base", place=True, recipe=False)
    """Name in trainer/recipes/pretrain or a YAML file."""
    output_dir: File = setting(Path("runs/base"), metavar="FOLDER")
    """Vocabulary, cache, checkpoint, log, model."""
    corpus_cache: File | None = setting(None, metavar="FOLDER")
    """Texts in tokens, which need no --text_dir on another machine; none: output_dir's own."""
    seed: int = setting(0, ge=0, le=2**32 - 1)
    """Of weights and data."""
    max_steps: int = setting(10_000_000, ge=0)
    """Stop after so many steps in all."""
    max_minutes: float = setting(1e9, ge=0)
    """Stop this start of the run after so many minutes."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What computes; auto takes a GPU where there is one."""
    precision: Precision = "bf16"
    compile: bool = False
    """Have torch compile the model; pays on a GPU, and takes minutes at the start."""
    log_steps: int = setting(100, ge=1)
    """Steps between lines of log.jsonl."""
    eval_steps: int = setting(1000, ge=1)
    """Steps between validation losses."""
    save_minutes: float = setting(5.0, ge=0)
    """Minutes between checkpoints."""

    model: File | None = setting(None, metavar="FOLDER", section="model")
    """Folder of a model whose weights and vocabulary the run starts with; none: random weights."""
    tokenizer: File | None = setting(None, metavar="FOLDER")
    """Vocabulary of a model with random weights; none: one of its own."""
    vocab_size: int = setting(8000, ge=104, le=65_535)
    """Ids in the vocabulary, 100 sentinels among them; with --tokenizer rows of the embedding at least."""
    d_model: int = setting(256, ge=1)
    """Width."""
    d_kv: int = setting(64, ge=1)
    """Width of an attention head."""
    d_ff: int = setting(1024, ge=1)
    """Width of the feed-forward layers."""
    num_layers: int = setting(6, ge=1)
    """Encoder layers."""
    num_decoder_layers: int = setting(4, ge=1)
    """Decoder layers."""
    num_heads: int = setting(4, ge=1)
    """Attention heads a layer."""
    copy_ready: bool = True
    """Start from weights that can nearly copy."""

    texts: dict[str, TextWeights] = setting(dict)
    """File name → weights (recipe only)."""
    shares: dict[str, Weight] = setting(dict)
    """Objective → share of examples (recipe only)."""
    exercise_steps: int = setting(450, ge=0, section="what is asked (texts and shares stand in the recipe)")
    """At least so many first steps exercise copying."""
    copy_share: list[Share] = setting(lambda: [0.15, 0.03], metavar="SHARE", min_length=2, max_length=2)
    """Share of copy exercises: from, to."""
    in_place_share: list[Share] = setting(lambda: [0.9, 0.25], metavar="SHARE", min_length=2, max_length=2)
    """Share of gap sentences left standing: from, to."""
    anneal_steps: int = setting(4000, ge=1)
    """Steps over which both shares go from … to …."""
    span_density: float = setting(0.15, metavar="SHARE", gt=0, lt=1)
    """Share of pieces that span corruption takes out."""
    learn_unsupported: bool = True
    """No: names and numbers of a target that its source lacks get no loss."""
    max_source_length: int = setting(256, metavar="TOKENS", ge=50)
    """Tokens read, prefix and </s> included."""
    max_target_length: int = setting(96, metavar="TOKENS", ge=1)
    """Tokens written, </s> not included."""

    pad_to: int = setting(1, metavar="TOKENS", ge=1)
    """Sources and targets are padded to a multiple of this; few shapes suit --compile."""

    batch_size: int = setting(8, ge=1, section="optimisation")
    """Examples a step."""
    learning_rate: float = setting(2e-2, metavar="LR", gt=0, le=1)
    """Times the root mean square of each weight."""
    adam_beta2: float = setting(0.99, metavar="DECAY", ge=0, lt=1)
    """Decay of the second moment."""
    warmup_steps: int = setting(200, ge=0)
    """Steps of linear warm-up."""
    cooldown_steps: int = setting(0, ge=0)
    """Over 0: from the checkpoint to rate 0, then the model."""

    def check(self) -> None:
        for name in self.shares:
            if name not in OBJECTIVES:
                raise UserError(f"shares.{name} is unknown; objectives are {', '.join(OBJECTIVES)}")
        if self.copy_ready and self.num_heads < 2:
            raise UserError("--num_heads is 1: copy-ready weights need 2; take more, or --no_copy_ready.")
        if not self.texts:
            raise UserError("texts is empty: a recipe must name at least one text file")
        if not sum(self.shares.values()) and not all(self.copy_share):
            raise UserError("shares is empty: a recipe must give at least one objective a share over 0")
        if self.tokenizer is not None and self.model is not None:
            raise UserError("--tokenizer and --model: a model brings its own vocabulary, so leave --tokenizer out.")
        if self.tokenizer is not None and not (self.tokenizer / "tokenizer.json").is_file():
            raise UserError(f"tokenizer is {str(self.tokenizer)!r}, but no tokenizer.json is there")
        if self.model is not None and not (self.model / "config.json").is_file():
            raise UserError(f"model is {str(self.model)!r}, but no config.json is there; name the folder of a saved T5")

    def shape(self) -> dict[str, int]:
        """What two checkpoints must share to be of one run."""
        names = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads")
        return {name: getattr(self, name) for name in names}


def parse(argv: Sequence[str]) -> PretrainSettings:
    """Settings from the recipe and the flags that override it.

    Raises:
        UserError: no such recipe, an unknown name, or a value out of bounds.
    """
    return pretraining_parser().parse(argv)[0]


def pretraining_parser() -> SettingsParser:
    """The parser of trainer/pretrain.py."""
    return SettingsParser(
        [PretrainSettings],
        RECIPES,
        prog="pretrain.py",
        usage="python trainer/pretrain.py --text_dir FOLDER [--recipe NAME] [--flag value ...]",
        description=(
            "Pre-trains a small T5 on any text. The same command again goes on exactly where the last\n"
            "checkpoint was; --cooldown_steps N takes the rate to zero over N further steps and writes the\n"
            "finished model. Defaults stand in [brackets]. --flag-name and --flag_name are the same."
        ),
    )
