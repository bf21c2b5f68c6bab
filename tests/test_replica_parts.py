"""What a group of replicas is made of, part by part: the budget, times, hedging, limits, spells, lots."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_connect.replicas import Budget
from vllm_connect.replicas.concurrency import Concurrency
from vllm_connect.replicas.health import Health
from vllm_connect.replicas.hedging import Hedging
from vllm_connect.replicas.latency import Latency
from vllm_connect.replicas.rendezvous import Lot
from vllm_connect.replicas.spell import Spell


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 3)), max_size=60))
def test_the_budget_is_a_share_of_the_calls_and_a_floor(seconds: list[tuple[int, int, float]]) -> None:
    """Retries are at most 10% of the calls, 3 a second and 10 at once; what is not used is not saved beyond the 10."""
    budget, now, calls, retries, asked = Budget(), 0.0, 0, 0, 0
    for begun, failed, passed in seconds:
        for _ in range(begun):
            budget.earn(now)
        calls += begun
        left_before = 10 + 0.1 * calls + 3 * now - retries
        granted = sum(budget.spend(now) for _ in range(failed))
        retries, asked = retries + granted, asked + failed
        assert granted <= left_before + 1e-6
        assert granted <= 10
        now += passed
    if asked <= 10:
        assert retries == asked


def test_the_budget_fills_again() -> None:
    """Ten calls, or a third of a second in which calls go well, bring one retry; a clock that runs back takes none."""
    budget = Budget()
    for _ in range(1000):
        budget.earn(5.0)
    assert [budget.spend(5.0) for _ in range(11)] == [True] * 10 + [False]
    for _ in range(10):
        budget.earn(5.0)
    assert budget.spend(4.0)
    assert not budget.spend(5.0)
    assert not budget.spend(5.3)
    assert budget.spend(5.35)


def test_the_floor_lapses_while_every_call_fails() -> None:
    """Where every call asks for retries, 10% of them get one; once calls go well, or none is made, the floor is back."""
    budget = Budget()

    def granted(begin: int, end: int) -> int:
        count = 0
        for step in range(begin, end):
            budget.earn(step / 2)
            count += budget.spend(step / 2)
        return count

    assert granted(0, 40) <= 10 + 7
    assert granted(40, 240) <= 25
    assert not budget.spend(120.0)
    assert sum(budget.spend(200.0 + step / 100) for step in range(20)) == 10


def test_the_floor_is_as_large_as_the_share_of_calls_that_go_well() -> None:
    """Where half of the calls ask for a retry, 1.5 a second are allowed besides the 10%, counted over ten seconds."""
    budget = Budget()

    def granted(begin: int, end: int, every: int) -> int:
        count = 0
        for step in range(begin * 100, end * 100):
            budget.earn(step / 100)
            count += step % every == 0 and budget.spend(step / 100)
        return count

    granted(0, 60, 2)
    assert granted(60, 160, 2) == pytest.approx(100 * (1.5 + 10), abs=5)
    # Just after it was all of them, and ten seconds later.
    granted(160, 260, 1)
    assert granted(260, 262, 4) == pytest.approx(2 * (0.5 + 10), abs=2)
    granted(262, 272, 4)
    assert granted(272, 282, 4) == pytest.approx(10 * (1.7 + 10), abs=3)


def test_the_time_to_expect() -> None:
    """Slow is believed at once and fades into what is usual, fast by and by; after 30 s without news nothing is known."""
    latency = Latency()
    assert latency.lately is None
    assert latency.expected(0.0, 0.5) is None
    latency.heard(2.0, 100.0)
    latency.heard(0.2, 100.0)
    assert latency.lately == pytest.approx(2.0 - 0.1 * 1.8)
    assert latency.expected(100.0, 0.5) == pytest.approx(2.0)
    assert latency.expected(99.0, 0.5) == pytest.approx(2.0)
    assert latency.expected(110.0, 0.5) == pytest.approx(0.5 + 1.5 / math.e)
    assert latency.expected(129.99, 0.5) == pytest.approx(0.5 + 1.5 / math.e**3, abs=1e-3)
    assert latency.expected(130.0, 0.5) is None
    latency.heard(0.2, 110.0)
    assert latency.expected(110.0, 0.5) == pytest.approx(0.2 + 1.8 / math.e)
    assert not latency.is_forgotten(139.9)
    assert latency.is_forgotten(140.0)
    latency.heard(0.3, 140.0)
    assert latency.expected(140.0, 0.5) == pytest.approx(0.3)


@given(st.integers(0, 1 << 32), st.floats(0.05, 1.5))
@settings(max_examples=25)
def test_what_is_late(seed: int, spread: float) -> None:
    """Some 2% of first tokens are later than what counts as late, whatever their distribution is."""
    chance, hedging = random.Random(seed), Hedging()
    late = 0
    for number in range(6_000):
        first_token = chance.lognormvariate(-1, spread)
        if number >= 2_000:
            late += first_token > hedging.after
        hedging.heard(first_token)
    assert 0.01 < late / 4_000 < 0.035


@pytest.mark.parametrize(("longest", "guess"), [(0.5, 0.5), (0.001, 0.01)])
def test_the_first_guess_of_what_is_late(longest: float, guess: float) -> None:
    """No first token is late before 50 have come; the next is if it takes longer than each of them, and over 10 ms."""
    hedging = Hedging()
    for _ in range(49):
        hedging.heard(longest / 2)
        assert hedging.after == math.inf
    hedging.heard(longest)
    assert hedging.after == guess


@pytest.mark.parametrize(
    "was_later", [lambda hedging: hedging.heard(9.0), Hedging.was_late], ids=["later", "not waited for"]
)
def test_what_is_late_stays_where_one_in_fifty_is(was_later: Callable[[Hedging], None]) -> None:
    """One that is later, or was not waited for, moves the guess up as far as 49 that are not move it down."""
    hedging = Hedging()
    for _ in range(50):
        hedging.heard(0.5)
    was_later(hedging)
    assert hedging.after > 0.5
    for _ in range(49):
        hedging.heard(hedging.after)
    assert hedging.after == pytest.approx(0.5)


def test_second_requests_are_saved_up() -> None:
    """Fifty streams bring one; there is none at first, and two are kept at most."""
    hedging = Hedging()
    assert not hedging.spend()
    for _ in range(49):
        hedging.earn()
    assert not hedging.spend()
    hedging.earn()
    assert [hedging.spend(), hedging.spend()] == [True, False]
    for _ in range(1000):
        hedging.earn()
    assert [hedging.spend() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_spells_double(chance: float) -> None:
    """Each spell in a row is twice as long, up to the longest, a quarter shorter or longer by chance."""
    spell, lengths = Spell(0.5, 20.0), []
    assert not spell.is_on(0.0)
    for number in range(100):
        spell.begin(10.0, lambda: chance)
        lengths.append(spell.until - spell.since)
        assert spell.since == 10.0
        assert spell.in_a_row == number + 1
    assert spell.is_on(10.0)
    assert spell.is_on(spell.until - 0.01)
    assert not spell.is_on(spell.until)
    factor = 0.75 + 0.5 * chance
    assert lengths == pytest.approx([factor * length for length in (0.5, 1, 2, 4, 8, 16, *[20] * 94)])
    spell.forget()
    assert not spell.is_on(10.0)
    spell.begin(10.0, lambda: chance)
    assert spell.until == pytest.approx(10.0 + 0.5 * factor)


def test_a_limit() -> None:
    """It shrinks by refusals and slow first tokens once a second, to 1 at least, and grows while it is used and well."""
    concurrency = Concurrency()
    assert concurrency.limit == 256
    concurrency.went_well(127)
    assert concurrency.limit == 256
    concurrency.went_well(128)
    assert concurrency.limit == 256 + 4 / 256
    concurrency.refused(100, 0.0)
    assert concurrency.limit == 70
    concurrency.refused(50, 0.99)
    assert concurrency.limit == 70
    concurrency.refused(200, 1.0)
    assert concurrency.limit == 70
    concurrency.refused(50, 2.0)
    assert concurrency.limit == 35
    concurrency.heard(3.0, 1.0, 10, 3.0)
    assert concurrency.limit == 35
    concurrency.heard(3.1, 1.0, 10, 3.0)
    assert concurrency.limit == 10
    concurrency.went_well(10)
    assert concurrency.limit == 10
    concurrency.heard(3.1, 1.0, 20, 4.0)
    assert concurrency.limit == 5
    concurrency.heard(1.0, 1.0, 20, 5.0)
    concurrency.went_well(3)
    assert concurrency.limit == 5 + 4 / 5
    for second in range(10, 20):
        concurrency.refused(1, second)
    assert concurrency.limit == 1
    for _ in range(200_000):
        concurrency.went_well(1024)
    assert concurrency.limit == 1024


def test_the_share_of_one_that_has_come_back() -> None:
    """It grows evenly from a tenth to all in ten seconds, and stays, though another thread looked at the clock before."""
    health = Health()
    assert health.share(0.0) == 1.0
    health.begin_warming(100.0)
    shares = [health.share(100.0 + passed) for passed in (0.0, 0.5, 1.0, 5.0, 9.9, 10.0)]
    assert shares == pytest.approx([0.1, 0.1, 0.1, 0.5, 0.99, 1.0])
    assert health.share(101.0) == 1.0
    health.begin_warming(200.0)
    assert health.share(1000.0) == 1.0


def test_lots_are_drawn_by_name_and_key() -> None:
    """Draws are the same for the same name, key and weight, and each of several wins in proportion to its weight."""
    weights = {"a": 1.0, "b": 0.5, "c": 0.1}
    lots = {name: Lot(name) for name in weights}
    keys = [b"%d" % number for number in range(4000)]
    won = Counter(max(weights, key=lambda name: lots[name].draw(key, weights[name])) for key in keys)
    for name, weight in weights.items():
        assert won[name] / len(keys) == pytest.approx(weight / 1.6, abs=0.03)
    assert Lot("a").draw(b"k", 1.0) == lots["a"].draw(b"k", 1.0) != lots["a"].draw(b"l", 1.0)
    # Neither the border of name and key nor an odd name is an accident.
    assert Lot("a").draw(b"bc", 1.0) != Lot("ab").draw(b"c", 1.0)
    assert Lot("\ud800").draw(b"", 1.0) > 0
