"""Text for pre-training: read once, cut into sentences and pieces once, kept in a small cache that can be carried.

A corpus file is JSON Lines (optionally gzipped) with `text` or `document`, and where there is one a `title` and a
`summary`. It is held as flat arrays of 16-bit ids, so that 150 million characters take about 80 MB of memory and an
example is made from slices in microseconds.
"""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import T5Tokenizer

from trainer.data.encoding import encode
from trainer.data.rows import Bad, read_rows
from trainer.data.sentences import split_sentences
from trainer.errors import UserError
from trainer.runtime.files import replacing, sha256_of, write_json

# "WASHINGTON, D.C. (Reuters) – " at the head of a news text: where it was written, not what happened.
_DATELINE = re.compile(r"^[A-Z][A-Za-z.,'/ ]{2,45}(?:\([^)]{1,30}\) ?)? ?(?:--|[-–—]) ?(?=[A-Z\"“])")
_SPEAKER = re.compile(r"^(?:SENS?\.|SENATORS?|Sens?\.) ?[A-Z.' -]{3,30}: ?")
# How texts become ids; another value makes every cache anew.
READING = "special tokens as text"
# Of each file of the cache: many ways of carrying files take no larger ones.
PART_BYTES = 50_000_000


@dataclass(frozen=True)
class Document:
    """One text as ids, without prefix and `</s>`.

    Attributes:
        sentences: One array of ids a sentence, in the order of the text.
        title: Ids of the headline, or None.
        summary: Ids of a summary written by a person, or None.
    """

    sentences: list[np.ndarray]
    title: np.ndarray | None
    summary: np.ndarray | None


class Corpus:
    """The documents of one file, in flat arrays."""

    def __init__(self, name: str, arrays: dict[str, np.ndarray]):
        self.name = name
        self._ids = arrays["ids"]
        self._ends = arrays["ends"]  # end of each segment in `ids`; a document is title, summary, sentence, sentence, …
        self._firsts = arrays["firsts"]  # index of each document's first segment, and one past the last document's end

    def __len__(self) -> int:
        return len(self._firsts) - 1

    @property
    def n_tokens(self) -> int:
        """Ids in all sentences, titles and summaries together."""
        return len(self._ids)

    def __getitem__(self, index: int) -> Document:
        first, last = int(self._firsts[index]), int(self._firsts[index + 1])
        ends = self._ends[first:last]
        starts = np.concatenate(([self._ends[first - 1] if first else 0], ends[:-1]))
        title, summary, *sentences = (self._ids[start:end] for start, end in zip(starts, ends, strict=True))
        return Document(sentences, title if len(title) else None, summary if len(summary) else None)


def text_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a file of texts.

    Raises:
        UserError: a row cannot be read, with the file's name and its line.
    """

    def columns_of_text(columns: Sequence[str]) -> list[str]:
        if "text" not in columns and "document" not in columns:
            raise UserError(f"{path} has no column `text` or `document`.")
        return [name for name in ("text", "document", "title", "summary") if name in columns]

    rows, unit = read_rows(path, columns_of_text)
    for number, row in rows:
        if isinstance(row, Bad):
            raise UserError(f"{path}, {unit} {number}: {row}")
        yield row


def text_of(row: Mapping[str, Any]) -> str:
    """The running text of a row, its dateline taken off."""
    return _DATELINE.sub("", str(row.get("text") or row.get("document") or "").strip())


def recase(title: str, text: str) -> str:
    """A headline in capitals, re-cased from the words of its own article; any other headline as it is.

    A word takes the form that it has most often in the article; one that the article lacks is put in lower case. The
    speaker before a colon ("SEN. SMITH: …"), which many press releases have, is taken off.
    """
    title = _SPEAKER.sub("", title.strip())
    letters = [character for character in title if character.isalpha()]
    if not letters or sum(map(str.isupper, letters)) < 0.6 * len(letters):
        return title
    forms: dict[str, Counter[str]] = {}
    for word in re.findall(r"[^\W_]+", text):
        forms.setdefault(word.lower(), Counter())[word] += 1

    def form(match: re.Match[str]) -> str:
        seen = forms.get(match.group().lower())
        return seen.most_common(1)[0][0] if seen else match.group().lower()

    recased = re.sub(r"[^\W_]+", form, title)
    return recased[:1].upper() + recased[1:]


def load_corpus(path: Path, tokenizer: T5Tokenizer, cache_dir: Path, name: str | None = None) -> Corpus:
    """Reads a corpus file, from the cache if this text was tokenised with this vocabulary before.

    The cache can be carried to another machine, alone: where the file itself is not there, it is taken as it is. It
    holds for each text a JSON file and parts of at most `PART_BYTES`.

    Args:
        name: that the cache knows the text by; the file's name, if left out.

    Raises:
        UserError: the file is missing, holds a broken line, or holds no text; the file is not there and the cache
            holds it in another vocabulary or with a part missing or damaged.
    """
    name = name or path.name
    index = _index(cache_dir, name)
    wanted = {"reading": READING, "vocabulary": _digest(tokenizer.backend_tokenizer.to_str().encode())}
    known = json.loads(index.read_text("utf-8")) if index.is_file() else {}
    if path.is_file():
        wanted["text"] = sha256_of(path)
    elif not known:
        raise UserError(f"text file {path} does not exist, and {cache_dir} does not hold it in tokens")
    if not wanted.items() <= known.items():
        if not path.is_file():
            raise UserError(f"{index} is of another vocabulary or an older version: make it anew where {path} is")
        known = wanted | _store(_tokenise(path, tokenizer), cache_dir, name)
        write_json(index, known)  # last: what it says is there is there
    return Corpus(Path(name).name.split(".")[0], _stored(index, known["parts"]))


def is_cached(cache_dir: Path, name: str) -> bool:
    """Whether a cache holds a text, in whatever vocabulary."""
    return _index(cache_dir, name).is_file()


def _index(cache_dir: Path, name: str) -> Path:
    return cache_dir / f"{name}.json"


def _store(arrays: dict[str, np.ndarray], cache_dir: Path, name: str) -> dict[str, Any]:
    """Writes the arrays in parts; what `load_corpus` is to know of them."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content, parts = buffer.getvalue(), {}
    for start in range(0, len(content), PART_BYTES):
        part = content[start : start + PART_BYTES]
        file = cache_dir / f"{name}.{len(parts)}"
        with replacing(file) as unfinished:
            unfinished.write_bytes(part)
        parts[file.name] = _digest(part)
    return {"documents": len(arrays["firsts"]) - 1, "tokens": len(arrays["ids"]), "parts": parts}


def _stored(index: Path, parts: dict[str, str]) -> dict[str, np.ndarray]:
    """What `_store` has written beside `index`."""
    content = b""
    for name, digest in parts.items():
        file = index.with_name(name)
        part = file.read_bytes() if file.is_file() else b""
        if _digest(part) != digest:
            raise UserError(f"{file} is missing or damaged: bring it anew, or delete {index} where the text is")
        content += part
    with np.load(io.BytesIO(content)) as stored:
        return dict(stored)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tokenise(path: Path, tokenizer: T5Tokenizer) -> dict[str, np.ndarray]:
    if len(tokenizer) > np.iinfo(np.uint16).max:
        raise UserError(
            f"the vocabulary has {len(tokenizer)} ids; pre-training text is kept in 16 bits (65,535 at most)"
        )
    ids, ends, firsts, total = [], [], [0], 0
    for rows in _blocks(text_rows(path), 500):
        segments, counts = [], []
        for row in rows:
            text = text_of(row)
            sentences = split_sentences(text)
            if len(sentences) < 2:
                continue
            segments += [recase(str(row.get("title") or ""), text), str(row.get("summary") or ""), *sentences]
            counts.append(2 + len(sentences))
        if not segments:
            continue
        for segment in encode(tokenizer, segments):
            ids.append(np.asarray(segment.body, np.uint16))
            total += len(segment.body)
            ends.append(total)
        for count in counts:
            firsts.append(firsts[-1] + count)
    if not ids:
        raise UserError(f"{path} holds no text of two sentences or more in a field `text` or `document`")
    return {"ids": np.concatenate(ids), "ends": np.asarray(ends), "firsts": np.asarray(firsts)}


def _blocks(rows: Iterator[Mapping[str, Any]], size: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    block: list[Mapping[str, Any]] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield block
            block = []
    yield block
