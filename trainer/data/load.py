"""Reads a split of article–summary pairs, from local files or from the Hub.

    split = load_split(DataSettings(), "train")  # EdinburghNLP/xsum from the Hub

Every row passes the same checks (trainer/data/checks.py), wherever it came from.
"""

from dataclasses import replace
from pathlib import Path

from trainer.data.checks import Keep, Prepare, collect_examples, needed_columns, unknown_name
from trainer.data.hub_datasets import check_name, find_dataset
from trainer.data.rows import read_rows
from trainer.data.splits import Split, SplitName, joined
from trainer.errors import UserError
from trainer.hub.explain import explain
from trainer.hub.patience import Say, retry
from trainer.settings.groups import DataSettings


def load_split(
    data: DataSettings,
    split: SplitName,
    say: Say = print,
    *,
    keep: Keep = None,
    prepare: Prepare = None,
) -> Split:
    """Reads one split of the local files, where `data` names any, else of the data set on the Hub.

    With max_*_samples the first N usable rows in the order of the file are taken, and reading stops there.
    That is what others get with the same number and no seed; where a file is sorted by subject or date it is
    no fair sample of it. `say` is told of waits for the Hub. The training split holds the pairs of
    `data.other_train_files` behind its own, the first N of each.

    Args:
        keep: what the examples are appended to and what `Split.examples` then is: a sequence that keeps them on the
            disk, where there are too many for the memory. A list where left out.
        prepare: changes the columns of a row before it is checked.

    Raises:
        UserError: no such file, data set, revision, split or column, with what there is; the first bad row,
            with its file, line and reason, unless `data.skip_bad_rows`; no usable row at all.
    """
    if split == "train" and (others := getattr(data, "mixed", [])):
        alone = replace(data, other_train_files=None, other_prefixes=None, sampling_temperature=None)
        own = load_split(alone, split, say, prepare=prepare)
        limit = data.max_train_samples
        read = [
            _local_split(path, data, split, limit, option="other_train_files", prepare=prepare) for path, _ in others
        ]
        return joined([own, *read])
    limit = getattr(data, f"max_{split}_samples")
    if data.train_file or data.validation_file or data.test_file:
        path = getattr(data, f"{split}_file")
        if path is None:
            raise UserError(
                f"--{split}_file is not given. Local data is not split behind your back: "
                f"put the {split} pairs in a file of their own and name it."
            )
        return _local_split(Path(path).expanduser(), data, split, limit, keep, prepare)
    return _hub_split(data, split, limit, say, keep, prepare)


def _local_split(
    path: Path,
    data: DataSettings,
    split: SplitName,
    limit: int | None,
    keep: Keep = None,
    prepare: Prepare = None,
    option: str | None = None,
) -> Split:
    option = f"--{option or f'{split}_file'}"
    if not path.exists():
        raise UserError(f"{option} is {path}: there is no such file.")
    if path.is_dir():
        raise UserError(f"{option} is {path}: that is a folder, and a file is needed.")
    try:
        rows, unit = read_rows(path, lambda columns: needed_columns(columns, data, str(path)))
        examples, skipped, rows_read = collect_examples(rows, data, limit, str(path), unit, keep, prepare)
    except OSError as error:
        raise UserError(f"{option} {path} cannot be read ({error.strerror or error}).") from error
    name = f"{path.resolve().parent.name}/{path.name}"
    return Split(split, examples, dataset=name, skipped=skipped, rows_read=rows_read)


def _hub_split(
    data: DataSettings, split: SplitName, limit: int | None, say: Say, keep: Keep = None, prepare: Prepare = None
) -> Split:
    """`datasets` fetches and decodes; our own checks read."""
    name, doing = data.dataset, f"fetching {data.dataset}"
    check_name(name)
    try:
        builder, revision, remarks = find_dataset(data, say)
        retry(builder.download_and_prepare, doing, say=say)
    except Exception as error:
        raise explain(error, name, doing, repo_type="dataset") from error
    splits = list(builder.info.splits or {})
    if split not in splits:
        raise UserError(f"{name} has no split {unknown_name(split, splits)}.")
    table = builder.as_dataset(split=split)
    table = table.select_columns(needed_columns(table.column_names, data, name))
    rows = enumerate(table, start=1)
    examples, skipped, rows_read = collect_examples(rows, data, limit, f"{name} ({split})", "row", keep, prepare)
    return Split(
        split,
        examples,
        dataset=name,
        config=data.dataset_config,
        revision=revision,
        skipped=skipped,
        rows_read=rows_read,
        remarks=remarks,
    )
