"""How often a false fact is found: facts are planted in real summaries, and `trainer.metrics.facts` looks for them.

`python -m trainer.studies.planted --record trainer/records/planted.json --data_file a.jsonl --data_file b.jsonl`

Summaries are drawn from the files in turn. One is taken if all its own facts are in its article: where none is flagged
that is believed, and what is flagged was read beside the article; the record keeps that reading in `judged`, and the
command stops at what is not in it. So a flagged fact that a reader finds in the article is a false alarm, and counts.
Each summary gets one false name, number and date in place of one of each kind that it has, found by their spelling in a
way that does not ask the detector. A false fact is one whose text stands nowhere in the article.

Recall is the share of planted facts that are flagged, precision the share of flagged facts that are planted.
"""

import argparse
import calendar
import gzip
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.metrics.facts import SIGNATURE, unsupported
from trainer.report.reading import share
from trainer.runtime.environment import environment
from trainer.runtime.files import write_json

_MONTHS = tuple(calendar.month_name)[1:]
_DAYS = tuple(calendar.day_name)
_COUNT_WORDS = "two three four five six seven eight nine ten eleven twelve twenty thirty"
_COUNTS = tuple(_COUNT_WORDS.split())
# Numbers and months, each in both its forms.
_FORMS = (
    *zip(_COUNTS, (*map(str, range(2, 13)), "20", "30"), strict=True),
    *((month.lower(), month[:3].lower()) for month in _MONTHS),
)
_NAME = re.compile(r"[A-Z][a-zA-Z]*[a-z][a-zA-Z]*(?: [A-Z][a-zA-Z]*[a-z][a-zA-Z]*)*")
_NUMBER = re.compile(rf"(?<![\w.,])(?:\d+(?:,\d{{3}})*(?:\.\d+)?|{'|'.join(_COUNTS)})(?![\w%]|[.,]\d)", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATE = re.compile(rf"\b(?:{_YEAR.pattern}|{'|'.join(_DAYS + _MONTHS)})\b")
_NO_NAME_WORDS = "The A An I It He She They We You Mr Mrs Ms Dr Sir Lord Lady"
_NO_NAMES = frozenset(_NO_NAME_WORDS.split())
KINDS = ("name", "number", "date")
HOW = (
    "Summaries by people were drawn from each file in turn. Taken were those all of whose names, numbers and dates are "
    "in their article: what trainer.metrics.facts flagged in them was looked up in the article by a language model "
    "(Claude), and 'judged' holds its answers: in_article is true where the article has the fact in another form. Each "
    "summary got one false name, number and date in place of one of each kind that it has. Intervals: Wilson's, 95%."
)


@dataclass(frozen=True)
class Pair:
    """A summary with its article, and where it is from: the file's name and its row."""

    data: str
    row: int
    summary: str
    article: str


def read_pairs(files: list[Path], seed: int) -> Iterator[Pair]:
    """The pairs of all files, one of each in turn, each file in an order drawn with the seed."""
    columns = []
    for file in files:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        order = random.Random(seed).sample(range(len(rows)), len(rows))
        name = data_name(file)
        columns.append([Pair(name, row, rows[row]["summary"], rows[row]["document"]) for row in order])
    for number in range(max(map(len, columns))):
        yield from (column[number] for column in columns if number < len(column))


def data_name(file: Path) -> str:
    """A data file as records call it: its folder's name and its own."""
    return f"{file.parent.name}/{file.name}"


def plant(pair: Pair, names: list[str], draw: random.Random) -> tuple[str, dict[str, str]]:
    """The summary with a false fact of each kind that it has, and those by kind.

    Args:
        names: to draw false ones from.
    """
    summary, planted = pair.summary, {}
    for kind in ("date", "number", "name"):
        places = [
            match
            for match in _places(kind, summary, pair.article)
            if not any(false in match[0] or match[0] in false for false in planted.values())
        ]
        draw.shuffle(places)
        for match in places[:1]:
            false = _false(kind, match[0], pair, names, draw)
            if false:
                summary = summary[: match.start()] + false + summary[match.end() :]
                planted[kind] = false
    return summary, planted


def names_of(text: str, article: str | None = None) -> list[re.Match]:
    """Names by their spelling; one that opens a sentence only if the article has its first word within a sentence."""
    found = []
    for match in _NAME.finditer(text):
        first = match[0].split()[0]
        opens = not text[: match.start()].strip() or text[: match.start()].rstrip()[-1] in ".!?:\"'“‘"
        if opens and not (article and re.search(rf"[a-z,] {first}\b", article)):
            continue
        if not _NO_NAMES & set(match[0].split()) and not _DATE.search(match[0]):
            found.append(match)
    return found


def false_names(pairs: Iterable[Pair]) -> list[str]:
    """Names within the sentences of all summaries, less those with a word that any summary has in lower case.

    "Close" and "Friends" are names too, but at the beginning of a sentence nobody would take them for one.
    """
    summaries = [pair.summary for pair in pairs]
    lower = {word for summary in summaries for word in re.findall(r"\b[a-z]+\b", summary)}
    names = {match[0] for summary in summaries for match in names_of(summary)}
    return sorted(name for name in names if not lower & set(name.lower().split()))


def _places(kind: str, summary: str, article: str) -> list[re.Match]:
    if kind == "name":
        return names_of(summary, article)
    found = (_DATE if kind == "date" else _NUMBER).finditer(summary)
    return [match for match in found if kind == "date" or not _YEAR.fullmatch(match[0])]


def _false(kind: str, true: str, pair: Pair, names: list[str], draw: random.Random) -> str | None:
    """A fact of the same form that stands neither in the article nor in the summary; None if none was found.

    A small number must not stand there in its other form either, in digits or as a word, nor a month cut short.
    """
    texts = f"{pair.article}\n{pair.summary}".lower()
    for _ in range(50):
        false = _other_name(true, names, draw) if kind == "name" else _other(kind, true, draw)
        forms = next((forms for forms in _FORMS if false.lower() in forms), (false.lower(),))
        if not any(re.search(rf"(?<![\w.,]){re.escape(form)}(?![a-z]|[.,]?\d)", texts) for form in forms):
            return false
    return None


def _other(kind: str, true: str, draw: random.Random) -> str:
    """Another number or date, written in the same way."""
    if kind == "date" and true.isdigit():
        return str(int(true) + draw.choice([-1, 1]) * draw.randint(1, 9))
    for words in (_DAYS, _MONTHS, _COUNTS):
        if true in words or true.lower() in words:
            other = draw.choice(words)
            return other.capitalize() if true[0].isupper() else other
    digits = "".join(draw.choice("0123456789") if sign.isdigit() else sign for sign in true[1:])
    return draw.choice("123456789") + digits


def _other_name(true: str, names: list[str], draw: random.Random) -> str:
    """A name of as many words from another pair; of two or more words now and then only the first or the last."""
    parts = true.split()
    other = draw.choice([name for name in names if len(name.split()) == len(parts)] or names).split()
    if len(parts) == len(other) > 1:
        changed = draw.choice(("all", "first", "last"))
        if changed != "all":
            other = [other[0], *parts[1:]] if changed == "first" else [*parts[:-1], other[-1]]
    return " ".join(other)


def measure(pairs: list[Pair], names: list[str], seed: int) -> dict[str, Any]:
    """Recall in all and by kind, precision, and for each summary what was planted, missed, and flagged in vain."""
    draw = random.Random(seed)
    hits: dict[str, list[int]] = {kind: [] for kind in KINDS}
    flags, cases = [], []
    for pair in pairs:
        summary, planted = plant(pair, names, draw)
        own = _parts(pair.summary)
        false = {kind: _parts(text) - own for kind, text in planted.items()}
        flagged = {fact.text: _parts(fact.text) for fact in unsupported(summary, pair.article)}
        missed = [kind for kind in planted if not any(false[kind] & parts for parts in flagged.values())]
        alarms = [text for text, parts in flagged.items() if not parts & set().union(*false.values())]
        for kind in planted:
            hits[kind].append(kind not in missed)
        flags += [text not in alarms for text in flagged]
        cases.append({"data": pair.data, "row": pair.row, "planted": planted, "missed": missed, "alarms": alarms})
    found = {"recall": [hit for kind in KINDS for hit in hits[kind]], "precision": flags}
    found |= {f"recall_{kind}": hits[kind] for kind in KINDS}
    figures = {
        name: {"value": sum(answers) / len(answers), "n": len(answers), "text": share(answers)}
        for name, answers in found.items()
        if answers
    }
    return {"summaries": len(pairs), "figures": figures, "cases": cases}


def _parts(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text))


def choose(pairs: Iterable[Pair], judged: dict[tuple[str, int, str], bool], number: int) -> list[Pair]:
    """The first `number` summaries that state something and all of whose facts are in their article.

    Args:
        judged: by file, row and fact, whether a reader finds a flagged fact in the article.

    Raises:
        Unread: facts that are flagged and not judged; with enough of these summaries the number would be reached.
    """
    chosen, unread = [], []
    for pair in pairs:
        if len(chosen) + len({(one.data, one.row) for one, _ in unread}) == number:
            break
        if not any(_places(kind, pair.summary, pair.article) for kind in KINDS):
            continue
        flagged = [fact.text for fact in unsupported(pair.summary, pair.article)]
        answers = [judged.get((pair.data, pair.row, text)) for text in flagged]
        if False in answers:
            continue
        if None in answers:
            unread += [(pair, text) for text, answer in zip(flagged, answers, strict=True) if answer is None]
        else:
            chosen.append(pair)
    if unread:
        raise Unread(unread)
    return chosen


def _command(asked: argparse.Namespace) -> str:
    """What was typed, with the records by their names in this checkout and without the folders of the data."""
    held_out = f" --held_out_from trainer/records/{asked.held_out_from.name}" if asked.held_out_from else ""
    record = f"--record trainer/records/{asked.record.name}"
    return f"python -m trainer.studies.planted {record}{held_out} --seed {asked.seed} --data_file …"


def _seen(record: Path | None) -> set[tuple[str, int]]:
    """The pairs that a record has measured, or whose flagged facts were read for it: file and row."""
    if record is None:
        return set()
    there = json.loads(record.read_text("utf-8"))
    return {(one["data"], one["row"]) for one in [*there["cases"], *there["judged"]]}


class Unread(UserError):
    """Facts that somebody has to look for in the article first."""

    def __init__(self, unread: list[tuple[Pair, str]]):
        super().__init__(
            f"{len(unread)} flagged facts of the summaries themselves are not in `judged` of the record yet: read them "
            "beside their articles (--to_read FILE writes them out) and add data, row, fact and in_article."
        )
        self.unread = unread


def main(argv: list[str] | None = None) -> int:
    """Measures and writes the record; 2 where facts are still to be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_file", type=Path, action="append", required=True, help="pairs as JSON Lines, or .gz.")
    parser.add_argument("--record", type=Path, required=True, help="read for `judged`, and written.")
    parser.add_argument("--number", type=int, default=300, help="summaries (default: 300).")
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--to_read", type=Path, help="where facts that nobody has read yet are written.")
    parser.add_argument(
        "--held_out_from", type=Path, help="another record: its pairs, on which the detector was tried, are left out."
    )
    asked = parser.parse_args(argv)
    record = json.loads(asked.record.read_text("utf-8")) if asked.record.exists() else {}
    readings = record.get("judged", [])
    judged = {(one["data"], one["row"], one["fact"]): one["in_article"] for one in readings}
    pairs = list(read_pairs(asked.data_file, asked.seed))
    seen = _seen(asked.held_out_from)
    try:
        chosen = choose((pair for pair in pairs if (pair.data, pair.row) not in seen), judged, asked.number)
    except Unread as error:
        if asked.to_read:
            rows = [{**asdict(pair), "fact": fact} for pair, fact in error.unread]
            asked.to_read.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")
        print(error, file=sys.stderr)
        return error.exit_code
    names = false_names(pairs)
    found = {
        "how": HOW,
        "command": _command(asked),
        "data_files": [data_name(file) for file in asked.data_file],
        "seed": asked.seed,
        "held_out_from": asked.held_out_from and asked.held_out_from.name,
        "detector": SIGNATURE,
        "environment": environment(),
        **measure(chosen, names, asked.seed),
        "judged": readings,
    }
    write_json(asked.record, found)
    print("\n".join(f"{name}: {figure['text']}, n = {figure['n']}" for name, figure in found["figures"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
