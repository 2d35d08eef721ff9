"""In which order a training sees its pairs, drawn from seed + epoch alone so that a resumed run sees the same."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from trainer.data.spelling import Spelling
from trainer.data.tokens import SummarizationDataset


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


class ShuffledSampler(torch.utils.data.Sampler[int]):
    """Every index once an epoch in an order drawn from `seed` + epoch alone.

    torch's RandomSampler, as accelerate deals it out to several processes, starts again with the order of the first
    epoch after a resume in the middle of a later one.
    """

    def __init__(self, n: int, seed: int):
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(torch.randperm(self.n, generator=draw).tolist())


class MixedSampler(torch.utils.data.Sampler[int]):
    """An epoch's draws from several data sets, mixed; as many draws as there are pairs in all.

    A set of n pairs has a share of the draws in proportion to n^(1/T) (temperature sampling; Raffel et al. 2020,
    section 3.5.2): with T = 1 each pair comes once. Within a set no pair comes again before all others have come as
    often. The order is drawn from `seed` + epoch alone.

    Args:
        sizes: pairs of each set, which lie one behind the other.
        temperature: T, over 0.
    """

    def __init__(self, sizes: Sequence[int], temperature: float, seed: int):
        self.sizes, self.seed, self.epoch = list(sizes), seed, 0
        self.draws = shares_of_draws(self.sizes, temperature)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.sizes)

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        parts, start = [], 0
        for size, draws in zip(self.sizes, self.draws, strict=True):
            passes = [torch.randperm(size, generator=draw) for _ in range(-(-draws // size))]
            parts += [start + torch.cat(passes)[:draws]] if passes else []
            start += size
        drawn = torch.cat(parts)
        return iter(drawn[torch.randperm(len(drawn), generator=draw)].tolist())


def shares_of_draws(sizes: Sequence[int], temperature: float) -> list[int]:
    """How many of `sum(sizes)` draws each set gets; what rounding down leaves goes to the largest remainders."""
    wanted = np.array(sizes, dtype=np.float64) ** (1 / temperature)
    wanted *= sum(sizes) / wanted.sum()
    draws = np.floor(wanted + 1e-9).astype(int)
    for place in np.argsort(draws - wanted, kind="stable")[: sum(sizes) - draws.sum()]:
        draws[place] += 1
    return draws.tolist()


class EvenSampler(torch.utils.data.Sampler[int]):
    """Another sampler's order, filled up with `BLANK` to a multiple of `multiple`.

    Without it, accelerate would make the processes' last batches equal by taking pairs of the epoch's beginning a
    second time, and several processes would not learn what one learns.
    """

    BLANK = -1

    def __init__(self, order: torch.utils.data.Sampler, multiple: int):
        self.order = order
        self.blanks = -len(order) % multiple

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order) + self.blanks

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from [self.BLANK] * self.blanks


class TrainingPairs(torch.utils.data.Dataset):
    """The tokenised pairs, and at index `EvenSampler.BLANK` one with nothing to learn.

    With `spelling` an item also says which places of its labels are `ignored`: names and numbers that the source lacks.
    """

    def __init__(self, tokens: SummarizationDataset, eos_token_id: int, spelling: Spelling | None = None):
        self.tokens = tokens
        self.spelling = spelling
        self.blank = {"input_ids": [eos_token_id], "labels": [-100]}

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        if index == EvenSampler.BLANK:
            return self.blank
        pair = self.tokens[index]
        if self.spelling is None:
            return pair
        unsupported = self.spelling.unsupported(np.asarray(pair["labels"]), np.asarray(pair["input_ids"]))
        return pair | {"ignored": np.flatnonzero(unsupported).tolist()}
