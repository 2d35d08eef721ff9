"""Names and numbers in token ids: which of a target's its source lacks, told by the pieces' spelling alone.

What `trainer.metrics.facts` finds in texts, found in ids, in microseconds and for every batch. A summary's names that
stand nowhere in its article teach a model to invent some. Left out of the loss, they do not (Goyal & Durrett 2021,
"Annotating and Modeling Fine-grained Factuality in Summarization", section 5), and the rest of the summary is learnt.
"""

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from trainer.errors import UserError

SPACE = "▁"  # SentencePiece's mark of a word's beginning


@dataclass(frozen=True)
class Spelling:
    """What each piece of a vocabulary looks like; arrays (vocabulary,) of truth values.

    Attributes:
        fact: it begins with a capital or holds a digit.
        opener: a capitalised word that the vocabulary has in lower case too: one that may just open a sentence.
        begins: a word begins with it: it has a space in front, or is no letter or digit.
        ends: no letter or digit ends it, so that the next piece begins a word.
        stops: a sentence or a quotation may begin behind it.
    """

    fact: np.ndarray
    opener: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    stops: np.ndarray

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Spelling":
        """Reads the pieces of a SentencePiece vocabulary such as T5's; special tokens are no words.

        Raises:
            UserError: its pieces are no words or parts of words: bytes (ByT5), or marked in another way.
        """
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        if not any(len(piece) > 2 and piece.startswith(SPACE) for piece in pieces):
            raise UserError(
                "--learn_unsupported no needs a vocabulary of SentencePiece words, as T5 has: names and numbers are "
                "told by their pieces. Leave the option out for this model."
            )
        special = set(tokenizer.all_special_tokens)
        known = set(pieces)
        words = ["" if piece in special else piece.removeprefix(SPACE) for piece in pieces]
        fact = [word[:1].isupper() or any(map(str.isdigit, word)) for word in words]
        opener = [f"{SPACE}{word.lower()}" in known and word[:1].isupper() for word in words]
        begins = [piece.startswith(SPACE) or not word[:1].isalnum() for piece, word in zip(pieces, words, strict=True)]
        ends = [not word[-1:].isalnum() and bool(word) for word in words]
        stops = [word[-1:] in tuple('.!?:"“‘') and bool(word) for word in words]
        return cls(*(np.asarray(column) for column in (fact, opener, begins, ends, stops)))

    def unsupported(self, target: np.ndarray, source: np.ndarray) -> np.ndarray:
        """(target,) truth values: the piece belongs to a name or a number with a piece that the source lacks.

        `target` and `source` are ids, one or more of each. A capitalised word that opens a sentence is none if it may
        be any word there.
        """
        before = np.concatenate(([True], self.stops[target[:-1]]))  # a sentence may begin here
        starts = self.begins[target] | before | np.concatenate(([True], self.ends[target[:-1]]))
        word = np.cumsum(starts) - 1  # the number of the word that each piece belongs to
        fact = np.bincount(word, weights=self.fact[target] & ~(before & self.opener[target])) > 0
        lacking = np.bincount(word, weights=~np.isin(target, source)) > 0
        return (fact & lacking)[word]
