"""Every row is in one batch, beside rows of like length."""

import random

from classifiers.training.fit.torch_encoder import in_order, shuffled

_CHANCE = random.Random(3)
LENGTHS = [_CHANCE.randrange(3, 90) for _ in range(1_001)]


def test_each_row_is_in_one_batch() -> None:
    for batches in (shuffled(LENGTHS, 32, random.Random(0)), in_order(LENGTHS, 64)):
        assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(LENGTHS)))


def test_rows_of_a_batch_are_of_like_length() -> None:
    batches = shuffled(LENGTHS, 32, random.Random(0))
    padded = sum(len(batch) * max(LENGTHS[index] for index in batch) for batch in batches)
    assert padded < 1.15 * sum(LENGTHS)


def test_the_order_is_chance_and_by_the_seed() -> None:
    first, same, other = (shuffled(LENGTHS, 32, random.Random(seed)) for seed in (0, 0, 1))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in same]
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in other]
    sizes = [max(LENGTHS[index] for index in batch) for batch in first]
    assert sizes != sorted(sizes)
