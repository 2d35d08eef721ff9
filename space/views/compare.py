"""The summary beside others, and what it shares with the reference."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from space.markup import escape
from trainer.runtime.figures import ABSENT

if TYPE_CHECKING:  # scipy, NLTK and sacrebleu come with it
    from space.comparison import Overlap, Row

ROUGE_NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
COLUMNS = {
    "R-1": "ROUGE-1, F1 × 100",
    "R-2": "ROUGE-2, F1 × 100",
    "R-L": "ROUGE-L, F1 × 100",
    "New": "Share of its words that the article lacks",
    "Facts?": "Names, dates and numbers that the article lacks",
    "Time": "Seconds that it took",
}


def comparison(rows: "Sequence[Row]", overlap: "Overlap | str | None", summary: str, reference: str | None) -> str:
    """The table of summaries and, with a reference, the words that are shared.

    Args:
        overlap: of `summary` and `reference`; a sentence where there can be none; None without a reference.
    """
    heads = "".join(f'<th scope="col"><abbr title="{about}">{name}</abbr></th>' for name, about in COLUMNS.items())
    table = (
        f'<table class="systems"><caption class="hidden">Summaries of this article, side by side</caption>'
        f"<thead><tr>{heads}</tr></thead>{''.join(map(_row, rows))}</table>"
    )
    if isinstance(overlap, str):
        return f'{table}<p class="note">{escape(overlap)}</p>'
    if overlap is None or reference is None:
        return f'{table}<p class="note">Give a reference and every row has its ROUGE.</p>'
    return table + _shared_words(overlap, summary, reference)


def _row(row: "Row") -> str:
    text = escape(row.text) if row.text else f"<i>{escape(row.problem or 'It wrote nothing.')}</i>"
    cells = [
        *(f"{100 * row.rouge[kind]:.1f}" if row.rouge else ABSENT for kind in ("rouge1", "rouge2", "rougeL")),
        f"{row.novel:.0%}" if row.novel is not None else ABSENT,
        f"{len(row.unsupported)}" if row.text else ABSENT,
        f"{row.seconds:.1f} s" if row.seconds is not None else ABSENT,
    ]
    lacking = f' title="{escape(", ".join(row.unsupported))}"' if row.unsupported else ""
    kinds = ["", "", "", "", f' class="lacking"{lacking}' if row.unsupported else "", ""]
    return (
        f'<tbody><tr><th scope="rowgroup" colspan="{len(COLUMNS)}"><b>{escape(row.name)}</b>'
        f'<span dir="auto">{text}</span></th></tr><tr>'
        + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, cells, strict=True))
        + "</tr></tbody>"
    )


def _shared_words(overlap: "Overlap", summary: str, reference: str) -> str:
    return (
        '<div class="overlap"><p>ROUGE counts words that both texts have, not whether they are true. '
        '<mark class="lcs">In the same order</mark> (ROUGE-L); <mark class="same">elsewhere</mark> (ROUGE-1).</p>'
        f'<p dir="auto"><b>Summary</b> {_coloured(summary, overlap.in_summary)}</p>'
        f'<p dir="auto"><b>Reference</b> {_coloured(reference, overlap.in_reference)}</p></div>'
        f"{scores_table(overlap)}"
    )


def _coloured(text: str, shared: Sequence[tuple[int, int, bool]]) -> str:
    html, done = "", 0
    for start, end, in_order in shared:
        kind = "lcs" if in_order else "same"
        html += f'{escape(text[done:start])}<mark class="{kind}">{escape(text[start:end])}</mark>'
        done = end
    return html + escape(text[done:])


def scores_table(overlap: "Overlap") -> str:
    """Precision, recall and F1 of the four ROUGE types; BLEU and chrF folded below."""
    rows = "".join(_score(name, overlap.scores[kind]) for kind, name in ROUGE_NAMES.items())
    signature = escape("; ".join(dict.fromkeys(overlap.scores["signatures"].values())))
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Precision", "Recall", "F1"))
    return (
        f'<table class="rouge" title="{signature}"><caption>ROUGE × 100 of the summary against the reference</caption>'
        f'<thead><tr><th scope="col"><span class="hidden">Measure</span></th>{heads}'
        '<td class="share"></td></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
        "<details><summary>BLEU and chrF</summary>"
        f'<p class="note">BLEU {100 * overlap.bleu:.1f}, chrF {100 * overlap.chrf:.1f} (sacrebleu, × 100, one text '
        "alone). They too count what is shared, not what is true.</p></details>"
    )


def _score(name: str, score: dict[str, float]) -> str:
    precision, recall, f1 = (f"{100 * score[part]:.1f}" for part in ("precision", "recall", "fmeasure"))
    return (
        f'<tr><th scope="row">{name}</th><td>{precision}</td><td>{recall}</td><td class="f1">{f1}</td>'
        f'<td class="share" aria-hidden="true"><i style="--w:{f1}%"></i></td></tr>'
    )
