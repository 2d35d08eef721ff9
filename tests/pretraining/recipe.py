"""A recipe of seconds for tests of pre-training."""

from pathlib import Path

from tests.tiny import SMOKE

RECIPE = """
texts: {train.jsonl: {weight: 1, lead: 1, summary: 1}}
shares: {span: 0.3, gap: 0.3, lead: 0.2, summary: 0.1, continuation: 0.1}
vocab_size: 600
d_model: 32
d_kv: 8
d_ff: 64
num_layers: 2
num_decoder_layers: 2
num_heads: 4
exercise_steps: 4
anneal_steps: 20
max_source_length: 64
max_target_length: 24
batch_size: 4
warmup_steps: 5
log_steps: 5
eval_steps: 10
precision: fp32
save_minutes: 0
"""


def flags(recipe: Path, output_dir: Path, *more: str) -> list[str]:
    return ["--recipe", str(recipe), "--text_dir", str(SMOKE), "--output_dir", str(output_dir), *more]
