"""Article–summary pairs: from the Hub or from local files to batches of token ids.

    split = load_split(DataSettings(), "train")  # EdinburghNLP/xsum from the Hub
    dataset = tokenize(split.examples, tokenizer, DataSettings())
    batch = collator(tokenizer)([dataset[0], dataset[1]])

Every row passes the same checks, wherever it came from: both texts are there, are text and are not empty. A
bad row is named by file, line and reason.
"""

import difflib
import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id
from tqdm import tqdm
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from trainer.errors import UserError
from trainer.hub import Patience, Say, explain, retry
from trainer.rows import Bad, Rows, kind, read_rows
from trainer.settings import DataSettings

SplitName = Literal["train", "validation", "test"]

# Where the Hub keeps the Parquet copy that it once made with the loading script on `main`.
CONVERTED = "refs/convert/parquet"
_COPIED = re.compile(r"([^/]+)/[^/]+/\d+\.parquet")  # configuration/split/0000.parquet
# That a name or a network is missing should be told soon; a download that has begun is worth more patience.
FIRST_QUESTION = Patience(total=15.0)
SHOWN = 5  # bad rows that a report names one by one


@dataclass(frozen=True, slots=True)
class Example:
    """One pair: `source` is the article without prefix, `target` the reference summary."""

    id: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be used. `number` counts from 1: lines in JSONL and CSV, rows elsewhere."""

    file: str
    unit: Literal["line", "row"]
    number: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}: {self.reason}"


@dataclass(frozen=True)
class Split:
    """The pairs of one split and where they came from.

    Attributes:
        name: train, validation or test.
        examples: the pairs in the order of the file; with max_*_samples the first N usable ones.
        dataset: name on the Hub, or `folder/file` of a local file.
        config: configuration of the data set on the Hub, None where none was asked for.
        revision: commit of the data set on the Hub that was really read, None for a local file.
        skipped: the rows that were left out as bad, all of them, in order.
        rows_read: usable and bad rows up to the last one that was needed.
        remarks: what happened on the way that a reader of the results should know, as sentences.
        fingerprint: first 16 hex digits of the SHA-256 over all ids and texts.
    """

    name: str
    examples: Sequence[Example] = field(repr=False)
    dataset: str
    config: str | None = None
    revision: str | None = None
    skipped: list[BadRow] = field(default_factory=list, repr=False)
    rows_read: int = 0
    remarks: list[str] = field(default_factory=list)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint(self.examples))

    def __len__(self) -> int:
        return len(self.examples)

    def notes(self) -> list[str]:
        """Lines to print about this split: remarks, skipped rows (the first few by name), repeated ids."""
        lines = list(self.remarks)
        if self.skipped:
            lines.append(f"{self.dataset}: {len(self.skipped):,} of {self.rows_read:,} rows skipped as bad:")
            lines += [f"  {row}" for row in self.skipped[:SHOWN]]
            if len(self.skipped) > SHOWN:
                lines.append(f"  … and {len(self.skipped) - SHOWN:,} more")
        repeated = [name for name, n in Counter(example.id for example in self.examples).items() if n > 1]
        if repeated:
            ids = "1 id occurs" if len(repeated) == 1 else f"{len(repeated):,} ids occur"
            lines.append(f"{self.dataset}: {ids} more than once in {self.name}, such as {repeated[0]!r}.")
        return lines


def fingerprint(examples: Iterable[Example]) -> str:
    """First 16 hex digits of the SHA-256 over ids and texts, each after its length in 8 bytes."""
    digest = hashlib.sha256()
    for example in examples:
        for text in (example.id, example.source, example.target):
            data = text.encode("utf-8")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()[:16]


Keep = MutableSequence[Example] | None
Prepare = Callable[[Mapping[str, Any]], Mapping[str, Any]] | None


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
    no fair sample of it. `say` is told of waits for the Hub.

    Args:
        keep: what the examples are appended to and what `Split.examples` then is: a sequence that keeps them on the
            disk, where there are too many for the memory. A list where left out.
        prepare: changes the columns of a row before it is checked.

    Raises:
        UserError: no such file, data set, revision, split or column, with what there is; the first bad row,
            with its file, line and reason, unless `data.skip_bad_rows`; no usable row at all.
    """
    limit = getattr(data, f"max_{split}_samples")
    if data.train_file or data.validation_file or data.test_file:
        path = getattr(data, f"{split}_file")
        if path is None:
            raise UserError(
                f"--{split}_file is not given. Local data is not split behind your back: "
                f"put the {split} pairs in a file of their own and name it."
            )
        return _local_split(Path(path), data, split, limit, keep, prepare)
    return _hub_split(data, split, limit, say, keep, prepare)


def _local_split(
    path: Path, data: DataSettings, split: SplitName, limit: int | None, keep: Keep = None, prepare: Prepare = None
) -> Split:
    option = f"--{split}_file"
    if not path.exists():
        raise UserError(f"{option} is {path}: there is no such file.")
    if path.is_dir():
        raise UserError(f"{option} is {path}: that is a folder, and a file is needed.")
    try:
        rows, unit = read_rows(path, lambda columns: _columns(columns, data, str(path)))
        examples, skipped, rows_read = _collect(rows, data, limit, str(path), unit, keep, prepare)
    except OSError as error:
        raise UserError(f"{option} {path} cannot be read ({error.strerror or error}).") from error
    name = f"{path.resolve().parent.name}/{path.name}"
    return Split(split, examples, dataset=name, skipped=skipped, rows_read=rows_read)


# --- Rows to examples ---------------------------------------------------------------------------------------


def _collect(
    rows: Rows,
    data: DataSettings,
    limit: int | None,
    file: str,
    unit: Literal["line", "row"],
    keep: Keep = None,
    prepare: Prepare = None,
) -> tuple[MutableSequence[Example], list[BadRow], int]:
    """(examples, bad rows, rows read) of the first `limit` usable rows."""
    examples: MutableSequence[Example] = [] if keep is None else keep
    skipped: list[BadRow] = []
    read = 0
    named = data.id_column == DataSettings.id_column  # the usual name may be absent: rows are numbered then
    for read, (number, values) in enumerate(rows, start=1):
        try:
            if isinstance(values, Bad):
                raise values
            values = prepare(values) if prepare else values
            examples.append(_example(values, data, number=read))
            named = named or data.id_column in values
        except Bad as reason:
            bad = BadRow(file, unit, number, str(reason))
            if not data.skip_bad_rows:
                raise UserError(f"{bad}. Mend it, or leave bad rows out with --skip_bad_rows.") from None
            skipped.append(bad)
        if limit is not None and len(examples) == limit:
            break
    if read == 0:
        raise UserError(f"{file} holds no rows: it should have one article and its summary a {unit}.")
    if not examples:
        raise UserError(f"{file} has no usable row: all {read:,} are bad. The first is {skipped[0]}.")
    if not named:
        raise UserError(f"--id_column is {data.id_column!r}, and no row of {file} has such a column.")
    return examples, skipped, read


def _example(values: Mapping[str, Any], data: DataSettings, number: int) -> Example:
    source = _text(values, data.source_column)
    target = _text(values, data.target_column)
    return Example(_id(values.get(data.id_column), data.id_column, number), source, target)


def _text(values: Mapping[str, Any], column: str) -> str:
    if column not in values:
        raise Bad(f"no column {_unknown(column, list(values))}")
    value = values[column]
    if value is None:
        raise Bad(f"column {column!r} is null, not text")
    if not isinstance(value, str):
        raise Bad(f"column {column!r} holds {kind(value)}, not text")
    _check_unicode(value, column)
    if not any(unicodedata.category(char)[0] not in "ZC" for char in value):  # white space and control only
        raise Bad(f"column {column!r} is empty")
    return value


def _id(value: Any, column: str, number: int) -> str:
    """The id as text; the number of the row where there is none."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return str(number)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Bad(f"column {column!r} holds {kind(value)}, not an id")
    if isinstance(value, float) and value.is_integer():  # so pandas writes them when one is missing
        value = int(value)
    value = str(value)
    _check_unicode(value, column)
    return value


def _check_unicode(text: str, column: str) -> None:
    """A lone surrogate can be in a string, and can be neither written nor tokenised."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:  # Python's own mark for a byte that it could not decode
            raise Bad(f"column {column!r} is not UTF-8 (byte 0x{code - 0xDC00:02x})") from None
        raise Bad(f"column {column!r} holds half of a character (\\u{code:04x})") from None


def _columns(columns: Sequence[str], data: DataSettings, where: str) -> list[str]:
    """Those of `columns` that are needed; UserError where one is missing that the rows cannot do without."""
    needed = {"source_column": data.source_column, "target_column": data.target_column}
    if data.id_column != DataSettings.id_column:
        needed["id_column"] = data.id_column
    for option, column in needed.items():
        if column not in columns:
            raise UserError(f"{where} has no column {_unknown(column, columns)}. Name it with --{option}.")
    wanted = (data.id_column, data.source_column, data.target_column, *getattr(data, "also_read", ()))
    return [name for name in dict.fromkeys(wanted) if name in columns]


def _unknown(name: str, known: Sequence[str]) -> str:
    """`'documnt'; there are 'document', 'summary' (did you mean 'document'?)`"""
    if not known:
        return f"{name!r}; there are none"
    lower = [other.lower() for other in known]
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f" (did you mean {known[lower.index(near[0])]!r}?)" if near else ""
    verb = "is" if len(known) == 1 else "are"
    return f"{name!r}; there {verb} {', '.join(repr(other) for other in known)}{hint}"


# --- The Hub ------------------------------------------------------------------------------------------------


def _hub_split(
    data: DataSettings, split: SplitName, limit: int | None, say: Say, keep: Keep = None, prepare: Prepare = None
) -> Split:
    """`datasets` fetches and decodes; our own checks read."""
    name, doing = data.dataset, f"fetching {data.dataset}"
    _check_name(name)
    try:
        builder, revision, remarks = _find(data, say)
        retry(builder.download_and_prepare, doing, say=say)
    except Exception as error:
        raise explain(error, name, doing, repo_type="dataset") from error
    splits = list(builder.info.splits or {})
    if split not in splits:
        raise UserError(f"{name} has no split {_unknown(split, splits)}.")
    table = builder.as_dataset(split=split)
    table = table.select_columns(_columns(table.column_names, data, name))
    rows = enumerate(table, start=1)
    examples, skipped, rows_read = _collect(rows, data, limit, f"{name} ({split})", "row", keep, prepare)
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


def _check_name(name: str) -> None:
    is_file = Path(name).suffix.lower() in (".jsonl", ".json", ".csv", ".parquet")
    if is_file or name.startswith((".", "/", "~")):
        raise UserError(
            f"--dataset is {name!r}: that is for a name on the Hub. Local files go into --train_file, "
            "--validation_file and --test_file."
        )
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(
            f"--dataset is {name!r}, which is no name on the Hub. It should look like EdinburghNLP/xsum."
        ) from error


def _find(data: DataSettings, say: Say) -> tuple[Any, str, list[str]]:
    """(builder of `datasets`, commit, remarks). The commit is settled before anything is fetched."""
    try:
        revision, where, remarks = _look_up(data, say)
    except Exception as error:
        if isinstance(error, HfHubHTTPError | UserError):
            raise
        # No answer at all. `datasets` would take a copy from its cache and not say so.
        return _cached(data, explain(error, data.dataset, f"looking up {data.dataset}", repo_type="dataset"))
    builder = _builder(data.dataset, revision=revision, **where)
    if builder.hash != revision:
        raise UserError(
            f"The connection to the Hub broke while looking up {data.dataset}, and the copy in the cache is "
            f"another version (commit {builder.hash[:12]}, not {revision[:12]}). Try again."
        )
    return builder, revision, remarks


def _look_up(data: DataSettings, say: Say) -> tuple[str, dict[str, str | None], list[str]]:
    """(commit, what to read of it as `datasets` calls it, remarks).

    `datasets` no longer runs loading scripts. Where `main` holds one, as that of EdinburghNLP/xsum long did,
    the Parquet copy is read that the Hub once made with it.
    """
    name, wanted = data.dataset, data.dataset_revision

    def info(revision: str | None) -> Any:
        def ask() -> Any:
            return HfApi().dataset_info(name, revision=revision)

        return retry(ask, f"looking up {name}", patience=FIRST_QUESTION, say=say)

    found = info(wanted)
    script = f"{name.rsplit('/', 1)[-1]}.py"
    files = [sibling.rfilename for sibling in found.siblings or []]
    if script not in files:
        copied = all(_COPIED.fullmatch(file) for file in files if file != ".gitattributes")
        return found.sha, _copied(files, data) if copied else {"name": data.dataset_config}, []
    try:
        copy = info(CONVERTED)
    except RevisionNotFoundError as error:
        raise UserError(
            f"{name} is a loading script ({script}), which is no longer run, and the Hub has no Parquet copy "
            f"of its data ({CONVERTED}). Turn it into JSONL, CSV or Parquet and give --train_file and so on."
        ) from error
    if wanted not in (None, "main"):
        raise UserError(
            f"--dataset_revision {wanted} of {name} is a loading script ({script}), which is no longer run. "
            f"The Parquet copy, made from the newest version, is commit {copy.sha}: give that instead."
        )
    remark = (
        f"{name} has a loading script on its main branch, which is no longer run; its Parquet copy "
        f"{CONVERTED} (commit {copy.sha[:12]}) was read."
    )
    return copy.sha, _copied([sibling.rfilename for sibling in copy.siblings or []], data), [remark]


def _copied(files: list[str], data: DataSettings) -> dict[str, str | None]:
    """What to read of a Parquet copy: it has a folder for each configuration, and no README that names them."""
    configs = sorted({match[1] for match in map(_COPIED.fullmatch, files) if match})
    if data.dataset_config is not None and data.dataset_config not in configs:
        raise UserError(
            f"--dataset_config of {data.dataset}: no configuration {_unknown(data.dataset_config, configs)}."
        )
    if len(configs) <= 1:
        return {"data_dir": None}  # a folder that is named changes the name in the cache
    if data.dataset_config is None:
        raise UserError(
            f"{data.dataset} has several configurations: {', '.join(configs)}. Choose with --dataset_config."
        )
    return {"data_dir": data.dataset_config}


def _builder(dataset: str, **kwargs: Any) -> Any:
    # Imported here: it takes two seconds, and who trains on local files can do without.
    from datasets import load_dataset_builder

    try:
        # Without the prefix a folder of the same name in the working directory would be taken for it.
        return load_dataset_builder(f"hf://datasets/{dataset}", **kwargs)
    except ValueError as error:  # its sentence about a missing or unknown configuration lists the known ones
        if "BuilderConfig" in str(error) or "Config name is missing" in str(error):
            said = " ".join(str(error).split("Example of usage")[0].split())
            raise UserError(f"--dataset_config of {dataset}: {said}") from error
        raise


def _cached(data: DataSettings, failure: UserError) -> tuple[Any, str, list[str]]:
    """As `_find`, of the newest copy in the cache, for when the Hub does not answer.

    Raises:
        UserError: `failure` where there is no copy; that it is another version than the one asked for.
    """
    try:
        builder = _builder(data.dataset, name=data.dataset_config)
    except Exception:  # whatever it says: the reason to tell is that the Hub did not answer
        raise failure from None
    wanted = data.dataset_revision
    if wanted is not None and (len(wanted) < 7 or not builder.hash.startswith(wanted)):
        raise UserError(f"{failure} In the cache is commit {builder.hash}, and --dataset_revision asks for {wanted}.")
    return builder, builder.hash, [f"{failure} The copy in the cache, commit {builder.hash}, was read."]


# --- The same article on both sides -------------------------------------------------------------------------


def shared_sources(train: Iterable[Example], held_out: Iterable[Example]) -> list[str]:
    """Ids of the held-out examples whose article is also in `train`, the same but for white space."""
    seen = {_digest(example.source) for example in train}
    return [example.id for example in held_out if _digest(example.source) in seen]


def leakage_notes(train: Split, *held_out: Split) -> list[str]:
    """A warning for each split that shares articles with the training pairs."""
    notes = []
    for split in held_out:
        shared = shared_sources(train.examples, split.examples)
        if shared:
            notes.append(
                f"{len(shared):,} of the {len(split):,} {split.name} articles (such as id {shared[0]!r}) "
                f"{'is' if len(shared) == 1 else 'are'} in the training pairs too: "
                f"{split.name} scores will flatter the model."
            )
    return notes


def _digest(text: str) -> bytes:
    return hashlib.blake2b(" ".join(text.split()).encode("utf-8"), digest_size=16).digest()


# --- Token ids ----------------------------------------------------------------------------------------------


class SummarizationDataset(torch.utils.data.Dataset):
    """Token ids of all pairs, made once and kept in memory as 32-bit arrays (XSum's 204,045: about 0.5 GB).

    An item is `{"input_ids": [int, …], "labels": [int, …]}`, unpadded: prefix + article cut to
    `max_source_length` tokens, and the summary cut to `max_target_length`. Both end with `</s>`, also when
    cut. They are the ids that `tokenizer(text, truncation=True, max_length=…)` gives.

    Attributes:
        source_lengths, target_lengths: tokens of each as kept (int64 arrays).
        truncated_sources, truncated_targets: how many lost tokens to the limits.

    Raises:
        UserError: after the prefix `max_source_length` leaves no room for a token of the article.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: PreTrainedTokenizerBase,
        *,
        prefix: str,
        max_source_length: int,
        max_target_length: int,
    ) -> None:
        taken = len(tokenizer(prefix, add_special_tokens=False).input_ids) + 1
        if max_source_length <= taken:
            raise UserError(
                f"--max_source_length is {max_source_length}: the prefix {prefix!r} and </s> take {taken} "
                f"tokens, so nothing of an article would be read. It must be over {taken}; usual is 1024."
            )
        self.max_source_length, self.max_target_length = max_source_length, max_target_length
        # The articles take all the time: about 2 s for 1,000 on one core. Shown on a terminal only.
        progress = tqdm(examples, "Tokenising", unit=" articles", delay=3, leave=False, disable=None)
        sources = (prefix + example.source for example in progress)
        targets = (example.target for example in examples)
        self._sources, self.truncated_sources = _encode(sources, tokenizer, max_source_length)
        self._targets, self.truncated_targets = _encode(targets, tokenizer, max_target_length)
        self.source_lengths = self._sources.lengths
        self.target_lengths = self._targets.lengths

    def __len__(self) -> int:
        return len(self.source_lengths)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {"input_ids": self._sources[index], "labels": self._targets[index]}

    def notes(self) -> list[str]:
        """How much was cut off, as sentences; none where nothing was."""
        notes = []
        for what, n, option in (
            ("articles", self.truncated_sources, "max_source_length"),
            ("summaries", self.truncated_targets, "max_target_length"),
        ):
            if n:
                share = f"{n:,} of {len(self):,} {what} ({100 * n / len(self):.1f}%)"
                notes.append(f"{share} were cut to --{option} {getattr(self, option):,} tokens.")
        return notes


def tokenize(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, data: DataSettings
) -> SummarizationDataset:
    """The pairs as token ids, with the prefix and the limits of `data`."""
    return SummarizationDataset(
        examples,
        tokenizer,
        prefix=data.prefix,
        max_source_length=data.max_source_length,
        max_target_length=data.max_target_length,
    )


class _Ragged:
    """Many lists of ids in one array: as Python lists they would take ten times the memory."""

    def __init__(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        self.ids, self.lengths = ids, lengths
        self.ends = np.cumsum(lengths)

    def __getitem__(self, index: int) -> list[int]:
        end, length = self.ends[index], self.lengths[index]
        return self.ids[end - length : end].tolist()


def _encode(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[_Ragged, int]:
    """(ids with `</s>`, number of texts cut). Tokenised in full, so that what is cut can be counted."""
    eos = tokenizer.eos_token_id
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    cut = 0
    for chunk in _chunks(texts, 1000):
        encoded = tokenizer(
            chunk,
            add_special_tokens=False,
            truncation=False,
            return_attention_mask=False,
            verbose=False,  # "longer than the specified maximum" is known and dealt with here
        ).input_ids
        cut += sum(len(ids) >= max_length for ids in encoded)
        kept = [[*ids[: max_length - 1], eos] for ids in encoded]
        lengths += [len(ids) for ids in kept]
        parts.append(np.fromiter((i for ids in kept for i in ids), dtype=np.int32))
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return _Ragged(ids, np.array(lengths, dtype=np.int64)), cut


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclass
class PairCollator(DataCollatorForSeq2Seq):
    """Pads; and where an item says which of its labels are `ignored`, those count in no loss but are still read."""

    def __call__(self, features: list[dict[str, list[int]]], return_tensors: str | None = None) -> Any:
        ignored = [item.get("ignored", []) for item in features]
        features = [{name: ids for name, ids in item.items() if name != "ignored"} for item in features]
        batch = super().__call__(features, return_tensors)
        for row, places in enumerate(ignored):
            batch["labels"][row, places] = self.label_pad_token_id
        return batch


def collator(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel | None = None) -> PairCollator:
    """Makes batches of `SummarizationDataset` items, padded to the longest in the batch.

    A batch holds `input_ids` and `attention_mask` (batch, source tokens) and `labels` (batch, target tokens),
    with -100 at padding, where no loss is counted. With the model it holds `decoder_input_ids` too, the
    labels moved one to the right: under label smoothing Trainer keeps the labels from the model, which then
    needs them.
    """
    return PairCollator(tokenizer, model=model, padding="longest", label_pad_token_id=-100)


# --- Order --------------------------------------------------------------------------------------------------


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """Every index once an epoch, neighbours of like length: less padding, quicker steps.

    The order is that of transformers' `group_by_length`: random, then sorted by length within blocks of up to
    50 batches, the longest example first, so that memory runs out at once or never. But it is drawn from a
    generator of its own, seeded by `seed` + epoch; transformers draws on the global one, whose state at the
    start of an epoch a run that resumes in the middle of it does not have.

    Under torch.distributed each process makes the same order and accelerate deals out the batches in turn.
    accelerate calls `set_epoch`, but does not get through to it when several processes resume in mid-epoch
    (its SkipBatchSampler then lies around its BatchSamplerShard): there the caller has to.

    Args:
        lengths: tokens of each source.
        batch_size: examples that should be alike: batch of a process × accumulation × processes.
        seed: seed of the order.
    """

    # No attribute is called `generator`: accelerate would take one of that name and seed it anew.

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int = 0) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        self.lengths = [int(length) for length in lengths]
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        if not self.lengths:
            return iter(())
        order = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=order))
