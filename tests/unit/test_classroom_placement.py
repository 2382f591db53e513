# SPDX-License-Identifier: GPL-3.0-or-later
"""Seats are spread by load, and stay where they are."""

import random
from collections import Counter

import pytest

from klab.classroom.placement import place

SEEDS = range(40)


def some(seed: int) -> tuple[random.Random, list[str], dict[str, float]]:
    """A class of up to 60 seats and up to five hypervisors that carry from nothing to 40."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    names = [f"k-{chance.randrange(10**6):06}" for _ in range(chance.randrange(1, 60))]
    carries = {f"hyper{i}": float(chance.randrange(41)) for i in range(chance.randrange(1, 6))}
    return chance, sorted(set(names)), carries


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_one_student_moves_nobody(seed):
    _, names, carries = some(seed)
    before = place(names, carries, {}).at
    after = place([*names, "k-new"], carries, before)
    assert {name: after.at[name] for name in names} == before
    assert after.at["k-new"] in carries
    assert not after.moved


@pytest.mark.parametrize("seed", SEEDS)
def test_order_does_not_matter(seed):
    chance, names, carries = some(seed)
    mixed = chance.sample(names, len(names))
    hypervisors = dict(chance.sample(list(carries.items()), len(carries)))
    assert place(mixed, hypervisors, {}) == place(names, carries, {})


@pytest.mark.parametrize("seed", SEEDS)
def test_load_is_even_and_within_what_is_carried_if_it_can_be(seed):
    _, names, carries = some(seed)
    counts = Counter(place(names, carries, {}).at.values())
    assert sum(counts.values()) == len(names)
    if len(names) <= sum(carries.values()):
        assert all(counts[one] <= carries[one] for one in carries)
    for one in carries:
        for other in carries:
            # To take a seat from the fuller one never makes the other less full than that one was.
            if counts[one] and carries[one] and carries[other]:
                assert counts[one] / carries[one] <= (counts[other] + 1) / carries[other]


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_seats_of_a_hypervisor_that_is_gone_move(seed):
    chance, names, carries = some(seed)
    before = place(names, carries, {}).at
    gone = chance.choice(sorted(carries))
    left = {one: count for one, count in carries.items() if one != gone} or {"spare": 10.0}
    after = place(names, left, before)
    assert after.moved == {name: gone for name in names if before[name] == gone}
    assert all(after.at[name] == before[name] for name in names if before[name] != gone)


def test_a_seat_without_a_student_is_kept_while_there_is_a_record_of_it():
    before = {"k-a": "h1", "k-b": "h2", "k-c": "h1"}
    after = place(["k-a"], {"h1": 4.0, "h2": 4.0}, before, made=["k-a", "k-b", "k-old"])
    assert after.left == {"k-b": "h2", "k-old": ""}
    assert after.at == {"k-a": "h1"}


def test_a_seat_that_was_left_weighs():
    before = {"k-a": "h1", "k-b": "h1"}
    after = place(["k-c", "k-d"], {"h1": 4.0, "h2": 4.0}, before, made=["k-a", "k-b"])
    assert set(after.at.values()) == {"h2"}


def test_a_seat_that_is_an_existing_machine_now_has_moved():
    after = place(["k-a"], {"h1": 4.0}, {"k-a": "h1", "k-b": "h1"}, made=["k-b"], elsewhere=["k-b"])
    assert (after.moved, after.left) == ({"k-b": "h1"}, {})
