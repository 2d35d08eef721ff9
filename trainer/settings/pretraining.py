"""Every knob of pre-training, once."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml
from transformers import HfArgumentParser

from trainer.errors import UserError

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
OBJECTIVES = ("span", "gap", "lead", "title", "summary", "continuation")


@dataclass
class PretrainSettings:
    """Settings of `trainer/pretrain.py`; flags of the same names override a recipe."""

    text_dir: str = field(metadata={"help": "Folder that holds the text files the recipe names."})
    recipe: str = field(default="base", metadata={"help": "Name in trainer/recipes/pretrain or a YAML file."})
    output_dir: str = field(default="runs/base", metadata={"help": "Vocabulary, cache, checkpoint, log, model."})
    model: str | None = field(
        default=None,
        metadata={"help": "Folder of a model whose weights and vocabulary the run starts with; none: random weights."},
    )
    texts: dict = field(default_factory=dict, metadata={"help": "File name → weights (recipe only)."})
    shares: dict = field(default_factory=dict, metadata={"help": "Objective → share of examples (recipe only)."})
    vocab_size: int = field(default=8000, metadata={"help": "Ids in the vocabulary, 100 sentinels among them."})
    d_model: int = field(default=256, metadata={"help": "Width."})
    d_kv: int = field(default=64, metadata={"help": "Width of an attention head."})
    d_ff: int = field(default=1024, metadata={"help": "Width of the feed-forward layers."})
    num_layers: int = field(default=6, metadata={"help": "Encoder layers."})
    num_decoder_layers: int = field(default=4, metadata={"help": "Decoder layers."})
    num_heads: int = field(default=4, metadata={"help": "Attention heads a layer."})
    copy_ready: bool = field(default=True, metadata={"help": "Start from weights that can nearly copy."})
    exercise_steps: int = field(default=450, metadata={"help": "At least so many first steps exercise copying."})
    copy_share: list[float] = field(default_factory=lambda: [0.15, 0.03], metadata={"help": "From, to."})
    in_place_share: list[float] = field(
        default_factory=lambda: [0.9, 0.25],
        metadata={"help": "Share of gap sentences left standing: from, to."},
    )
    anneal_steps: int = field(default=4000, metadata={"help": "Steps over which both shares go from … to …."})
    span_density: float = field(default=0.15, metadata={"help": "Share of pieces that span corruption takes out."})
    learn_unsupported: bool = field(
        default=True,
        metadata={"help": "False: names and numbers of a target that its source lacks get no loss."},
    )
    max_source_length: int = field(default=256, metadata={"help": "Tokens read, prefix and </s> included."})
    max_target_length: int = field(default=96, metadata={"help": "Tokens written, </s> not included."})
    batch_size: int = field(default=8, metadata={"help": "Examples a step."})
    learning_rate: float = field(default=2e-2, metadata={"help": "Times the root mean square of each weight."})
    adam_beta2: float = field(default=0.99, metadata={"help": "Decay of the second moment."})
    warmup_steps: int = field(default=200, metadata={"help": "Steps of linear warm-up."})
    cooldown_steps: int = field(default=0, metadata={"help": "Over 0: from the checkpoint to rate 0, then the model."})
    max_steps: int = field(default=10_000_000, metadata={"help": "Stop after so many steps in all."})
    max_minutes: float = field(default=1e9, metadata={"help": "Stop this start of the run after so many minutes."})
    precision: str = field(default="bf16", metadata={"help": "fp32 or bf16."})
    seed: int = field(default=0, metadata={"help": "Of weights and data."})
    log_steps: int = field(default=100, metadata={"help": "Steps between lines of log.jsonl."})
    eval_steps: int = field(default=1000, metadata={"help": "Steps between validation losses."})
    save_minutes: float = field(default=5, metadata={"help": "Minutes between checkpoints."})

    def __post_init__(self):
        for name in self.shares:
            if name not in OBJECTIVES:
                raise UserError(f"shares.{name} is unknown; objectives are {', '.join(OBJECTIVES)}")
        if not self.texts:
            raise UserError("texts is empty: a recipe must name at least one text file")
        if self.model is not None and not (Path(self.model) / "config.json").is_file():
            raise UserError(f"model is {self.model!r}, but no config.json is there; name the folder of a saved T5")

    def shape(self) -> dict[str, int]:
        """What two checkpoints must share to be of one run."""
        names = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads")
        return {name: getattr(self, name) for name in names}


def parse(argv: list[str] | None) -> PretrainSettings:
    """Settings from the recipe and the flags that override it.

    Raises:
        UserError: the recipe is missing, has an unknown name in it, or a value is out of bounds.
    """
    parser = HfArgumentParser(PretrainSettings, description=__doc__, allow_abbrev=False)
    known, _ = parser.parse_known_args(argv)
    path = Path(known.recipe)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES / "pretrain" / f"{known.recipe}.yaml"
    if not path.is_file():
        raise UserError(f"recipe {known.recipe!r} does not exist ({path})")
    values = yaml.safe_load(path.read_text("utf-8"))
    unknown = set(values) - set(PretrainSettings.__dataclass_fields__)
    if unknown:
        raise UserError(f"{path}: unknown settings {', '.join(sorted(unknown))}")
    parser.set_defaults(**values)
    settings, *unused = parser.parse_args_into_dataclasses(argv, return_remaining_strings=True)
    strangers = [word for words in unused for word in words]
    if strangers:
        raise UserError(f"there is no flag or value {' '.join(strangers)}; --help lists all flags")
    return settings
