"""Which replica is next: affinity with a bound, rests, probes, limits and the budget, on a clock of our own."""

from __future__ import annotations

import itertools
import math
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_connect.outcome import Attempt, Blame, Verdict, judge
from vllm_connect.replicas import Group, ReplicaState

WELL = judge(Attempt(phase="complete", status=200, finish_reasons=("stop",)))
UNREACHABLE = judge(Attempt(phase="connect", ending="failed"))
CRASH = judge(Attempt(phase="sent", ending="lost"))
OVERLOAD = judge(Attempt(phase="complete", status=503))
SILENT = judge(Attempt(phase="sent", ending="timer", timer="first_token"))
WRONG = judge(Attempt(phase="complete", status=500))
MISPLACED = judge(Attempt(phase="complete", status=404, lacks_model=True))
NOTHING = judge(Attempt(phase="complete", status=400))
VERDICTS = (WELL, UNREACHABLE, CRASH, OVERLOAD, SILENT, WRONG, MISPLACED, NOTHING)


def names(number: int) -> list[str]:
    return [f"http://gpu{index}:8000/v1" for index in range(number)]


def group(number: int, chance: Callable[[], float] | None = None) -> Group:
    return Group(names(number), chance or random.Random(1).random)


def states(group: Group, now: float) -> dict[str, ReplicaState]:
    return {state.name: state for state in group.report(now)}


def pick(group: Group, now: float, **wish: Any) -> str:
    """Pick where one must be found."""
    name = group.pick(now, **wish)
    assert name is not None
    return name


def home(group: Group, key: bytes, now: float = 0.0, **wish: Any) -> str:
    """Where a key goes when nothing else is in flight."""
    name = pick(group, now, key=key, **wish)
    group.abandoned(name, now)
    return name


def homes(group: Group, keys: list[bytes], now: float = 0.0) -> dict[bytes, str]:
    return {key: home(group, key, now) for key in keys}


def begin(group: Group, name: str, now: float, number: int = 1) -> None:
    """Have attempts begin on this replica, whatever would have been picked."""
    for _ in range(number):
        assert group.pick(now, avoid=[other for other in group.names if other != name]) == name


def attempt(group: Group, name: str, now: float, verdict: Verdict, **told: Any) -> None:
    """Have one attempt on this replica end at once, whatever would have been picked."""
    begin(group, name, now)
    group.ended(name, now, verdict, **told)


def come_back(group: Group, name: str, now: float) -> None:
    """Have the probe of a replica go well."""
    assert group.pick(now) == name
    group.ended(name, now, WELL)


KEYS = [b"%d" % number for number in range(4000)]


# A single replica.


@given(st.lists(st.tuples(st.sampled_from(VERDICTS), st.floats(0, 5)), max_size=40))
def test_a_single_replica_is_always_picked(history: list[tuple[Verdict, float]]) -> None:
    """A client with one server never refuses a call, whatever became of those before it."""
    single, now = group(1), 0.0
    for verdict, passed in history:
        name = pick(single, now, key=b"a", model="qwen")
        single.ended(name, now, verdict, model="qwen")
        now += passed
        state = single.report(now)[0]
        assert (state.state, state.in_flight) == ("serving", 0)
    single.exclude(single.names[0], "serves llama")
    assert single.pick(now) == single.names[0]
    assert single.pick(now, avoid=single.names) is None


def test_one_that_is_left_is_always_picked() -> None:
    """A group that shrinks to one replica uses it, excluded or resting."""
    replicas = group(2)
    replicas.exclude(replicas.names[0], "serves llama")
    replicas.update(replicas.names[:1], 0.0)
    assert replicas.pick(0.0) == replicas.names[0]


# Affinity.


@pytest.mark.parametrize("number", [2, 3, 8])
def test_keys_of_one_replica_move_when_it_goes(number: int) -> None:
    """When one of N replicas goes, at most 1/N + 1% of the keys move, all of them its own; they come back with it."""
    replicas = group(number)
    before = homes(replicas, KEYS)
    gone = before[KEYS[0]]
    replicas.update([name for name in replicas.names if name != gone], 0.0)
    without = homes(replicas, KEYS)
    moved = [key for key in KEYS if before[key] != without[key]]
    assert all(before[key] == gone for key in moved)
    assert len(moved) <= len(KEYS) * (1 / number + 0.01)
    replicas.update(names(number), 1.0)
    assert homes(replicas, KEYS, 100.0) == before


def test_keys_are_spread_evenly() -> None:
    """Each of eight replicas is home to about an eighth of the keys, in any order of the names."""
    counted = Counter(homes(group(8), KEYS).values())
    assert all(0.85 < count / (len(KEYS) / 8) < 1.15 for count in counted.values())
    turned = Group(list(reversed(names(8))))
    assert homes(turned, KEYS[:200]) == homes(group(8), KEYS[:200])


def test_homes_are_the_same_in_every_process() -> None:
    """Processes with different hash seeds agree on the key of a request and on its home."""
    program = (
        "from vllm_connect.replicas import Group, prefix_key\n"
        "group = Group(['a', 'b', 'c', 'd', 'e'])\n"
        "keys = [prefix_key({'model': 'qwen', 'messages': [{'role': 'user', 'content': f'{n}', 'x': [1.5, n, None]}]})"
        " for n in range(50)]\n"
        "print([group.pick(0.0, key=key) for key in keys], keys)\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(said) == 1
    assert said != {b""}


@given(st.integers(2, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=120))
def test_no_replica_has_more_than_its_share_of_the_load(number: int, steps: list[tuple[bool, int]]) -> None:
    """However few the keys and in whatever order calls end, none has over 1.25 times the mean when it is picked."""
    replicas = group(number)
    running: list[str] = []
    for begins, at in steps:
        if begins or not running:
            name = pick(replicas, 0.0, key=b"%d" % (at % 3))
            running.append(name)
            assert running.count(name) <= math.ceil(1.25 * len(running) / number)
        else:
            replicas.ended(running.pop(at % len(running)), 0.0, WELL)


def test_what_does_not_fit_at_home_goes_to_its_next_rank() -> None:
    """Calls that find their home full go where the key would go without it, so that only one more reads the prefix."""
    for key in KEYS[:20]:
        replicas = group(4)
        ranks: list[str] = []
        for _ in range(4):
            ranks.append(home(replicas, key, avoid=ranks))
        load: Counter[str] = Counter()
        for begun in range(1, 33):
            most = math.ceil(1.25 * begun / 4)
            expected = next(name for name in ranks if load[name] < most)
            assert pick(replicas, 0.0, key=key) == expected
            load[expected] += 1


def test_a_key_whose_ranks_are_all_full_goes_to_the_least_loaded() -> None:
    """A call that must avoid the replica with room goes to the one that has least in flight."""
    replicas = group(3)
    busy, less, free = replicas.names
    for name, number in ((busy, 8), (less, 7)):
        for _ in range(number):
            assert replicas.pick(0.0, avoid=[other for other in replicas.names if other != name]) == name
    assert {home(replicas, key, avoid=[free]) for key in KEYS[:50]} == {less}


@pytest.mark.parametrize(("in_flight", "goes_to"), [(18, "at work"), (24, "warming")])
def test_the_least_loaded_is_so_for_its_share(in_flight: int, goes_to: str) -> None:
    """Where all ranks are full, one more at a tenth of the share weighs as much as ten more at all of it."""
    replicas = group(5, lambda: 0.5)
    warming, at_work, *free = replicas.names
    attempt(replicas, warming, 0.0, CRASH)
    come_back(replicas, warming, 2.0)
    begin(replicas, warming, 2.0)
    begin(replicas, at_work, 2.0, in_flight)
    expected = {"warming": warming, "at work": at_work}[goes_to]
    assert {home(replicas, key, 2.0, avoid=free) for key in KEYS[:50]} == {expected}


def test_a_replica_that_warms_up_has_a_smaller_share_of_the_load() -> None:
    """At a tenth of its share, it gets one of the calls for a key that is at home there, and the others the rest."""
    replicas = group(4, lambda: 0.5)
    bad = replicas.names[0]
    attempt(replicas, bad, 0.0, CRASH)
    come_back(replicas, bad, 2.0)
    key = next(key for key in KEYS if home(replicas, key, 2.0) == bad)
    counted = Counter(pick(replicas, 2.0, key=key) for _ in range(20))
    assert counted[bad] == 1
    assert max(counted.values()) <= math.ceil(1.25 * 20 / 3.1)


# Without a key.


def test_a_call_without_a_key_goes_to_the_less_loaded_of_two() -> None:
    """Calls spread evenly, and never all to the one that seems best."""
    replicas = group(4)
    counted = Counter(pick(replicas, 0.0) for _ in range(400))
    assert max(counted.values()) - min(counted.values()) <= 4


def test_a_call_without_a_key_goes_where_it_is_answered_first() -> None:
    """What a replica takes to its first token counts once for the call and once for each in flight before it."""
    replicas = group(2)
    fast, slow = replicas.names
    attempt(replicas, fast, 0.0, WELL, first_token=0.1)
    attempt(replicas, slow, 0.0, WELL, first_token=0.25)
    assert [pick(replicas, 0.0) for _ in range(4)] == [fast, fast, slow, fast]


def test_a_replica_of_which_nothing_is_known_is_tried_by_one_call() -> None:
    """It comes before any other while it has nothing in flight, and then counts as what is usual."""
    replicas = group(2)
    unknown, known = replicas.names
    attempt(replicas, known, 0.0, WELL, first_token=0.1)
    assert [pick(replicas, 0.0) for _ in range(2)] == [unknown, known]


def test_any_chance_picks_a_replica() -> None:
    """The ends of the range of chance are numbers of replicas too."""
    for chance in (0.0, 0.999999, 1.0):
        assert len({pick(group(3, lambda chance=chance: chance), 0.0) for _ in range(3)}) == 1  # type: ignore[misc]


def test_the_share_of_a_slow_replica_falls() -> None:
    """A replica whose first tokens take ten times as long loses at least 80% of its share, and is given it back."""
    replicas = group(4)
    slow, noise = replicas.names[0], random.Random(2)

    def share(begin: float, end: float, slowness: float) -> float:
        chosen: Counter[str] = Counter()
        for step in range(int(begin * 20), int(end * 20)):
            name = pick(replicas, step / 20)
            chosen[name] += 1
            taken = noise.uniform(0.1, 0.3) * (slowness if name == slow else 1.0)
            replicas.ended(name, step / 20 + taken, WELL, first_token=taken)
        return chosen[slow] / chosen.total()

    before = share(0, 20, 1.0)
    assert 0.15 < before < 0.35
    assert share(20, 30, 10.0) < 0.2 * before
    share(30, 90, 1.0)
    assert share(90, 110, 1.0) > 0.5 * before


# Rests.


@pytest.mark.parametrize(
    ("verdict", "failures"),
    [
        (UNREACHABLE, 1),
        (CRASH, 1),
        (SILENT, 2),
        (WRONG, 3),
        (OVERLOAD, None),
        (MISPLACED, None),
        (NOTHING, None),
    ],
    ids=lambda value: value.blame.name if isinstance(value, Verdict) else str(value),
)
def test_failures_that_send_to_rest(verdict: Verdict, failures: int | None) -> None:
    """A replica rests after one crash or failed connection, two silences or three wrong answers in a row, and only so."""
    replicas, rested = group(4), None
    bad = replicas.names[0]
    for count in range(1, 13):
        attempt(replicas, bad, count / 100, verdict, model="other")
        if rested is None and states(replicas, count / 100)[bad].state == "resting":
            rested = count
    assert rested == failures


@pytest.mark.parametrize(
    ("failures", "expected"),
    [((SILENT, WRONG), "serving"), ((WRONG, SILENT), "serving"), ((SILENT, WRONG, WRONG), "resting")],
    ids=["two", "two the other way round", "three"],
)
def test_failures_of_several_kinds_add_up(failures: tuple[Verdict, ...], expected: str) -> None:
    """A silence is half of what sends to rest, a wrong answer a third, whichever comes first."""
    replicas = group(4)
    bad = replicas.names[0]
    for verdict in failures:
        attempt(replicas, bad, 0.0, verdict)
    assert states(replicas, 0.0)[bad].state == expected


@pytest.mark.parametrize(("verdict", "failures"), [(SILENT, 1), (WRONG, 2)], ids=["silence", "wrong answers"])
def test_failures_are_in_a_row(verdict: Verdict, failures: int) -> None:
    """A good answer, or the first token of one, makes failures before it forgotten, unless it was begun before them."""
    for well in ("answer", "token", "late"):
        replicas = group(4)
        bad = replicas.names[0]
        for count in range(1, 6):
            for _ in range(failures):
                attempt(replicas, bad, float(count), verdict, began=count - 0.3)
            if well == "token":
                replicas.heard(bad, count + 0.5, 0.6)
            else:
                began = count - 0.1 if well == "answer" else 0.0
                attempt(replicas, bad, count + 0.5, WELL, began=began)
        state = states(replicas, 6.0)[bad]
        if well == "late":
            assert state.state == "resting"
        else:
            assert (state.state, state.failures, state.reason) == ("serving", 0, "")


def test_what_went_well_before_does_not_excuse_wrong_answers() -> None:
    """Three wrong answers in a row are too many after a hundred good ones too."""
    replicas = group(4)
    bad = replicas.names[0]
    for verdict in (*[WELL] * 100, *[WRONG] * 3):
        attempt(replicas, bad, 1.0, verdict, began=1.0)
    assert states(replicas, 1.0)[bad].state == "resting"


def test_wrong_answers_to_a_few_of_the_requests() -> None:
    """Wrong answers come fast, good ones slowly: a replica rests only if at least half of what was begun fails."""
    for others, expected in ((1, "resting"), (2, "serving")):
        replicas = group(4)
        bad, *rest = replicas.names
        for count in range(20):
            attempt(replicas, bad, float(count), WRONG, began=float(count))
            for _ in range(others):
                pick(replicas, float(count), avoid=rest)
        assert states(replicas, 20.0)[bad].state == expected


@pytest.mark.parametrize(("others", "expected"), [(3, "resting"), (4, "serving")])
def test_half_of_what_was_begun(others: int, expected: str) -> None:
    """Three wrong answers are too many of six calls, and not of seven; those before the first of them do not count."""
    replicas = group(4)
    bad = replicas.names[0]
    begin(replicas, bad, 0.0, 20)
    attempt(replicas, bad, 0.0, WRONG)
    begin(replicas, bad, 0.0, others)
    for _ in range(2):
        attempt(replicas, bad, 0.0, WRONG)
    assert states(replicas, 0.0)[bad].state == expected


@pytest.mark.parametrize(
    ("verdict", "counted"),
    [
        (WELL, (1, 0)),
        (UNREACHABLE, (0, 1)),
        (CRASH, (0, 1)),
        (OVERLOAD, (0, 1)),
        (SILENT, (0, 1)),
        (WRONG, (0, 1)),
        (MISPLACED, (0, 0)),
        (NOTHING, (0, 0)),
    ],
    ids=lambda value: value.blame.name if isinstance(value, Verdict) else str(value),
)
def test_what_is_counted(verdict: Verdict, counted: tuple[int, int]) -> None:
    """The report has the attempts that went well, and those that ended by the fault of the replica, once each."""
    replicas = group(4)
    name = replicas.names[0]
    attempt(replicas, name, 0.0, verdict, model="other")
    state = states(replicas, 0.0)[name]
    assert (state.served, state.failed) == counted


@pytest.mark.parametrize(
    ("verdict", "expected"), [(WRONG, "serving"), (OVERLOAD, "serving"), (CRASH, "warming")]
)
def test_what_begins_in_the_moment_of_a_failure_is_news(verdict: Verdict, expected: str) -> None:
    """Some clocks stand still for 15 ms: a good answer counts unless it was begun in an earlier moment."""
    replicas = group(4)
    bad = replicas.names[0]
    attempt(replicas, bad, 1.0, verdict)
    attempt(replicas, bad, 1.1, WELL, began=1.0)
    state = states(replicas, 1.1)[bad]
    assert (state.state, state.failures, state.reason) == (expected, 0, "")


def test_what_fails_that_began_in_the_moment_of_a_rest_is_news() -> None:
    """A call of last resort that began as the rest did, and fails after it, has the replica rest for twice as long."""
    replicas = group(4, lambda: 0.5)
    bad = replicas.names[0]
    attempt(replicas, bad, 1.0, CRASH)
    begin(replicas, bad, 1.0)
    replicas.ended(bad, 2.5, CRASH, began=1.0)
    assert states(replicas, 2.5)[bad].rests_for == 2.0


def test_a_resting_replica_gets_no_calls_and_says_why() -> None:
    """While it rests, no call goes to it, with or without a key; the report has the reason and what is left."""
    replicas = group(3, lambda: 0.5)
    bad = home(replicas, b"k")
    attempt(replicas, bad, 10.0, CRASH)
    assert {
        pick(replicas, 10.0 + step / 100, key=key) for step in range(90) for key in (b"k", None)
    }.isdisjoint({bad})
    state = states(replicas, 10.25)[bad]
    assert (state.state, state.failures, state.failed, state.served) == ("resting", 1, 1, 0)
    assert state.rests_for == pytest.approx(0.75)
    assert state.reason == "it breaks off work (lost)"


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_rests_grow_and_differ(chance: float) -> None:
    """Rests double from 1 s to 60 s, a quarter shorter or longer by chance; well for a minute, they begin anew."""
    replicas = group(2, lambda: chance)
    bad, now, rests = replicas.names[0], 0.0, []
    for _ in range(9):
        attempt(replicas, bad, now, CRASH)
        rested = states(replicas, now)[bad].rests_for
        assert rested is not None
        rests.append(rested)
        now += rested
    factor = 0.75 + chance / 2
    assert rests == pytest.approx([factor * wait for wait in (1, 2, 4, 8, 16, 32, 60, 60, 60)])
    come_back(replicas, bad, now)
    attempt(replicas, bad, now + 59.9, CRASH)
    assert states(replicas, now + 59.9)[bad].rests_for == pytest.approx(60 * factor)
    now += 59.9 + 60 * factor
    come_back(replicas, bad, now)
    attempt(replicas, bad, now + 60, CRASH)
    assert states(replicas, now + 60)[bad].rests_for == pytest.approx(factor)


@pytest.mark.parametrize(
    ("verdict", "took", "longest"), [(UNREACHABLE, 0.24, 10), (UNREACHABLE, 0.25, 60), (CRASH, 0.0, 60)]
)
def test_a_server_that_is_started_again(verdict: Verdict, took: float, longest: float) -> None:
    """A replica that refuses connections at once rests 10 s at most: to see that it is back costs no caller time."""
    replicas = group(2, lambda: 0.5)
    bad, now, rests = replicas.names[0], 0.0, []
    for _ in range(8):
        attempt(replicas, bad, now + took, verdict, began=now)
        rested = states(replicas, now + took)[bad].rests_for
        assert rested is not None
        rests.append(rested)
        now += rested + took
    assert rests == pytest.approx([min(wait, longest) for wait in (1, 2, 4, 8, 16, 32, 60, 60)])


def test_one_breakdown_is_one_rest() -> None:
    """All that was in flight when a replica broke down ends with it: that is one failure of the replica, not many."""
    replicas = group(2, lambda: 0.5)
    bad = replicas.names[0]
    running = [name for name in (pick(replicas, 0.0) for _ in range(40)) if name == bad]
    for name in running:
        replicas.ended(name, 1.0, CRASH)
    assert states(replicas, 1.0)[bad].rests_for == pytest.approx(1.0)
    attempt(replicas, bad, 2.0, CRASH)
    assert states(replicas, 2.0)[bad].rests_for == pytest.approx(2.0)


@given(st.integers(1, 9), st.lists(st.integers(0, 8), max_size=40))
def test_at_most_half_of_a_group_rests(number: int, failing: list[int]) -> None:
    """Whoever fails, half of the replicas at most rest, one of two; the others are used however they are."""
    replicas = group(number)
    for step, index in enumerate(failing):
        attempt(replicas, replicas.names[index % number], step / 1000, CRASH)
        resting = [state for state in replicas.report(step / 1000) if state.state == "resting"]
        assert len(resting) <= number // 2
        assert pick(replicas, step / 1000) not in {state.name for state in resting}


def test_a_bad_replica_that_may_not_rest_comes_after_the_good() -> None:
    """Where too many rest, one more that fails is passed over for a moment while another takes the work gladly."""
    replicas = group(3)
    for name in replicas.names[:2]:
        attempt(replicas, name, 0.0, CRASH)
    assert {home(replicas, key, 0.1) for key in KEYS[:50]} == {replicas.names[2]}
    attempt(replicas, replicas.names[2], 0.2, CRASH)
    assert {home(replicas, key, 0.3) for key in KEYS[:50]} == set(replicas.names[1:])


def test_one_call_at_a_time_probes_a_replica_after_its_rest() -> None:
    """After its rest one call goes to it, and none else before that one has ended; a failure makes it rest again."""
    replicas = group(4, lambda: 0.5)
    bad = replicas.names[0]
    attempt(replicas, bad, 0.0, CRASH)
    assert pick(replicas, 1.0) == bad
    assert states(replicas, 1.0)[bad].state == "resting"
    assert bad not in {pick(replicas, 1.0 + step / 100) for step in range(50)}
    replicas.ended(bad, 1.5, CRASH)
    assert states(replicas, 1.5)[bad].rests_for == pytest.approx(2.0)
    # One that says nothing of it leaves the next call to find out.
    assert pick(replicas, 3.5) == bad
    replicas.ended(bad, 3.6, NOTHING)
    assert pick(replicas, 3.7) == bad
    replicas.abandoned(bad, 3.8)
    come_back(replicas, bad, 3.9)
    assert states(replicas, 3.9)[bad].state == "warming"


@pytest.mark.parametrize("verdict", [NOTHING, MISPLACED, None], ids=["nothing", "misplaced", "abandoned"])
def test_a_probe_that_says_nothing_of_health(verdict: Verdict | None) -> None:
    """The next call finds out how the replica is; not before all have ended that are finding out."""
    replicas = group(2, lambda: 0.5)
    bad, other = replicas.names
    attempt(replicas, bad, 0.0, CRASH)
    begin(replicas, bad, 0.5, 2)

    def end() -> None:
        if verdict is None:
            replicas.abandoned(bad, 1.5)
        else:
            replicas.ended(bad, 1.5, verdict, model="other")

    end()
    assert pick(replicas, 1.5) == other
    end()
    assert pick(replicas, 1.5) == bad


def test_a_call_that_has_failed_does_not_probe() -> None:
    """A call that has tried a replica goes to one at work; only where none is left, to one that rests."""
    replicas = group(3)
    bad, tried, good = replicas.names
    attempt(replicas, bad, 0.0, CRASH)
    assert pick(replicas, 5.0, avoid=[tried]) == good
    assert pick(replicas, 5.0, avoid=[tried, good]) == bad
    assert replicas.pick(5.0, avoid=[tried, good, bad]) is None


def test_the_last_resort_is_the_one_that_is_back_soonest() -> None:
    """Of those that rest, a call that has tried all others takes the one with least in flight, then with least rest."""
    replicas = group(4, lambda: 0.5)
    later, sooner, *others = replicas.names
    attempt(replicas, later, 0.5, CRASH)
    attempt(replicas, sooner, 0.2, CRASH)
    assert [pick(replicas, 0.6, avoid=others) for _ in range(3)] == [sooner, later, sooner]
    # These find out how the two are: no other call is needed for that.
    assert {pick(replicas, 5.0) for _ in range(20)} == set(others)
    for _ in range(2):
        replicas.ended(sooner, 5.1, WELL, began=0.6)
    attempt(replicas, sooner, 6.0, CRASH)
    assert pick(replicas, 9.0) == sooner


def test_what_began_before_a_rest_does_not_end_it() -> None:
    """A server that drains finishes its work and takes no new: neither that nor its late failures count as probes."""
    replicas = group(2, lambda: 0.5)
    bad = replicas.names[0]
    for _ in range(6):
        pick(replicas, 0.0)
    attempt(replicas, bad, 1.0, UNREACHABLE)
    replicas.ended(bad, 1.1, WELL, began=0.0)
    assert states(replicas, 1.1)[bad].state == "resting"
    replicas.ended(bad, 2.5, WELL, began=0.0)
    assert states(replicas, 2.5)[bad].state == "resting"
    replicas.ended(bad, 2.6, CRASH, began=0.0)
    assert states(replicas, 2.6)[bad].rests_for == 0
    come_back(replicas, bad, 3.0)
    assert states(replicas, 3.0)[bad].state == "warming"


def test_a_call_of_last_resort_may_bring_a_replica_back() -> None:
    """A call that has tried all others goes to one that rests: if that goes well it is back, else its rest stays."""
    replicas = group(2, lambda: 0.5)
    bad = replicas.names[0]
    attempt(replicas, bad, 0.0, CRASH)
    attempt(replicas, bad, 0.5, CRASH, began=0.5)
    assert states(replicas, 0.5)[bad].rests_for == pytest.approx(0.5)
    attempt(replicas, bad, 0.6, WELL, began=0.6)
    assert states(replicas, 0.6)[bad].state == "warming"


def test_a_replica_that_comes_back_warms_up() -> None:
    """Its share grows over ten seconds, of calls with a key and of calls without; its own keys come back to it."""
    replicas = group(4)
    bad = replicas.names[0]
    before = homes(replicas, KEYS)
    attempt(replicas, bad, 0.0, CRASH)
    come_back(replicas, bad, 2.0)

    def shares(now: float) -> tuple[float, float]:
        keyed = homes(replicas, KEYS, now)
        assert all(before[key] == bad for key in KEYS if keyed[key] == bad)
        plain = [pick(replicas, now) for _ in range(400)]
        for name in plain:
            replicas.abandoned(name, now)
        return list(keyed.values()).count(bad) * 4 / len(KEYS), plain.count(bad) * 4 / len(plain)

    for passed, lowest, highest in ((0.0, 0.02, 0.3), (5.0, 0.4, 0.75), (10.0, 0.9, 1.1)):
        keyed, plain = shares(2.0 + passed)
        assert lowest < keyed < highest, passed
        assert lowest < plain < highest, passed
    assert homes(replicas, KEYS, 12.0) == before


# Limits.


def test_a_refusal_shrinks_the_limit_and_lets_others_go_first() -> None:
    """A 503 leaves 70% of what was in flight as the limit, once in a second, and the next calls go elsewhere."""
    replicas = group(2, lambda: 0.5)
    full, other = replicas.names
    for _ in range(20):
        pick(replicas, 0.0, avoid=[other])
    for _ in range(5):
        replicas.ended(full, 0.0, OVERLOAD)
    assert states(replicas, 0.0)[full].limit == 14
    assert {pick(replicas, 0.4) for _ in range(30)} == {other}
    for _ in range(15):
        replicas.ended(full, 0.4, WELL)
    assert full in {pick(replicas, 0.6) for _ in range(30)}


def test_a_replica_at_its_limit_comes_after_one_below_its_own() -> None:
    """A limit of 14 is reached with 14 in flight: the next call goes to the other, which has more."""
    replicas = group(2, lambda: 0.5)
    full, other = replicas.names
    begin(replicas, full, 0.0, 20)
    replicas.ended(full, 0.0, OVERLOAD)
    begin(replicas, other, 0.0, 30)
    for _ in range(5):
        replicas.abandoned(full, 1.0)
    assert [(state.limit, state.in_flight) for state in replicas.report(1.0)] == [(14, 14), (256, 30)]
    assert pick(replicas, 1.0) == other
    replicas.abandoned(full, 1.0)
    assert pick(replicas, 1.0) == full


def test_a_replica_that_refuses_is_passed_over_for_a_moment() -> None:
    """One that is below its limit too is left alone, each time for twice as long, until it takes work again."""
    replicas = group(2, lambda: 0.5)
    full, other = replicas.names

    def is_passed_over(now: float) -> bool:
        return {home(replicas, key, now) for key in KEYS[:30]} == {other}

    now = 0.0
    for length in (0.5, 1.0, 2.0, 4.0, 4.0):
        attempt(replicas, full, now, OVERLOAD)
        assert states(replicas, now)[full].reason == "it has more work than it takes (busy)"
        attempt(replicas, full, now + length / 2, OVERLOAD)
        assert is_passed_over(now + length - 0.01)
        assert not is_passed_over(now + length)
        now += length
    attempt(replicas, full, now, OVERLOAD)
    attempt(replicas, full, now + 0.1, WELL, began=now - 1.0)
    assert is_passed_over(now + 0.1)
    assert states(replicas, now + 0.1)[full].reason
    attempt(replicas, full, now + 0.2, WELL, began=now + 0.1)
    assert not is_passed_over(now + 0.2)
    assert not states(replicas, now + 0.2)[full].reason
    attempt(replicas, full, now + 0.3, OVERLOAD)
    assert not is_passed_over(now + 0.8)


def test_a_probe_that_is_refused_leaves_the_next_call_to_find_out() -> None:
    """A replica that is back and full is alive: it is tried again after a moment, and its rest grows no longer."""
    replicas = group(2, lambda: 0.5)
    bad, other = replicas.names
    attempt(replicas, bad, 0.0, CRASH)
    assert pick(replicas, 1.0) == bad
    replicas.ended(bad, 1.1, OVERLOAD, began=1.0)
    assert pick(replicas, 1.2) == other
    assert states(replicas, 1.2)[bad].rests_for == 0.0
    assert pick(replicas, 1.7) == bad


def test_a_limit_never_makes_a_call_wait() -> None:
    """When all are at their limits, a call goes to the one least filled; limits are 1 at least."""
    replicas = group(2)
    for step, name in itertools.product(range(30), replicas.names):
        attempt(replicas, name, 2.0 * step, OVERLOAD)
    assert [state.limit for state in replicas.report(60.0)] == [1, 1]
    assert Counter(pick(replicas, 60.0) for _ in range(10)) == dict.fromkeys(replicas.names, 5)


def test_a_call_goes_to_the_one_that_is_least_filled() -> None:
    """When all are at their limits, what counts is how much of its limit each has in flight."""
    replicas = group(2)
    small, large = replicas.names
    for name, number in ((small, 11), (large, 41)):
        for _ in range(number):
            pick(replicas, 0.0, avoid=[other for other in replicas.names if other != name])
        replicas.ended(name, 0.0, OVERLOAD)
    for _ in range(10):
        replicas.abandoned(large, 1.0)
    assert [state.limit for state in replicas.report(10.0)] == [7, 28]
    assert [state.in_flight for state in replicas.report(10.0)] == [10, 30]
    assert [pick(replicas, 10.0) for _ in range(10)] == [large] * 10
    assert {pick(replicas, 10.0), pick(replicas, 10.0)} == {small, large}


def test_a_limit_that_is_used_grows_again() -> None:
    """Good answers raise a limit that is at least half used, by four for each time it is filled; else they do not."""
    replicas = group(2)
    name, other = replicas.names
    for _ in range(30):
        pick(replicas, 0.0, avoid=[other])
    replicas.ended(name, 0.0, OVERLOAD)
    assert states(replicas, 0.0)[name].limit == 21
    for step in range(29):
        replicas.ended(name, 1.0 + step, WELL)
    assert 21 + 2 <= states(replicas, 60.0)[name].limit <= 21 + 4
    before = states(replicas, 60.0)[name].limit
    for step in range(100):
        attempt(replicas, name, 60.0 + step, WELL)
    assert states(replicas, 200.0)[name].limit == before


def test_a_first_token_brings_a_probed_replica_back() -> None:
    """Who waits for the end of a long answer keeps a good replica out of work."""
    replicas = group(2, lambda: 0.5)
    bad = replicas.names[0]
    attempt(replicas, bad, 0.0, CRASH)
    assert pick(replicas, 1.0) == bad
    replicas.heard(bad, 1.2, 1.3)
    assert states(replicas, 1.2)[bad].state == "resting"
    replicas.heard(bad, 1.3, 0.3)
    assert states(replicas, 1.3)[bad].state == "warming"
    assert states(replicas, 1.3)[bad].first_token == pytest.approx(1.2)


def test_slow_first_tokens_shrink_the_limit() -> None:
    """First tokens that take over three times as long as elsewhere halve what is in flight, once in a second."""
    replicas = group(3)
    slow, *others = replicas.names

    def limit(now: float, times: float) -> int:
        for name in (*others, slow):
            attempt(replicas, name, now, WELL, first_token=0.2 * (times if name == slow else 1.0))
        return states(replicas, now)[slow].limit

    for _ in range(20):
        pick(replicas, 0.0, avoid=others)
    assert [limit(step, 2.9) for step in range(60)] == [256] * 60
    fell = [limit(60.0 + step, 30.0) for step in range(8)]
    assert fell == [21, 10, 5, 2, 1, 1, 1, 1]
    assert {home(replicas, key, 68.0) for key in KEYS[:50]} == set(others)
    assert states(replicas, 68.0)[slow].first_token == pytest.approx(3.7, abs=0.1)
    for _ in range(20):
        replicas.abandoned(slow, 68.0)
    assert all(limit(70.0 + step, 1.0) == 1 for step in range(10))
    assert limit(100.0, 1.0) == limit(100.0, 1.0) == 1
    for step in range(20):
        limit(101.0 + step, 1.0)
    assert states(replicas, 121.0)[slow].limit > 1


def test_what_is_slow_everywhere_shrinks_no_limit() -> None:
    """Longer prompts are slow on all replicas, and a single replica is slow by no measure."""
    for replicas in (group(3), group(1)):
        for step, name in itertools.product(range(100), replicas.names):
            attempt(replicas, name, step / 10, WELL, first_token=0.2 if step < 50 else 4.0)
        assert {state.limit for state in replicas.report(10.0)} == {256}


# Models and exclusions.


def test_a_replica_without_the_model_is_passed_over() -> None:
    """A 404 for a model keeps calls for that model away for a minute; where none has it, one still says so."""
    replicas = group(2)
    bad, good = replicas.names
    attempt(replicas, bad, 0.0, MISPLACED, model="qwen")
    assert {home(replicas, key, 59.0, model="qwen") for key in KEYS[:50]} == {good}
    assert {home(replicas, key, 59.0, model="other") for key in KEYS[:50]} == {bad, good}
    assert replicas.pick(1.0, model="qwen", avoid=[good]) is None
    replicas.readmit(bad)
    assert replicas.pick(1.0, model="qwen", avoid=[good]) == bad
    attempt(replicas, bad, 0.0, MISPLACED, model="qwen")
    attempt(replicas, good, 59.0, MISPLACED, model="qwen")
    assert pick(replicas, 59.5, model="qwen") in replicas.names
    assert {home(replicas, key, 60.0, model="qwen") for key in KEYS[:50]} == {bad}
    assert states(replicas, 60.0)[bad].state == "serving"


def test_how_many_models_a_replica_is_known_to_lack() -> None:
    """Callers may ask for any names: the 64 that it said last are kept; one said again is the last."""
    replicas = group(2)
    bad, good = replicas.names
    for number in (*range(65), 1, 65):
        attempt(replicas, bad, 0.0, MISPLACED, model=f"model {number}")
    lacking = [number for number in range(66) if not replicas.has_other(1.0, [good], model=f"model {number}")]
    assert lacking == [1, *range(3, 66)]


def test_an_excluded_replica_gets_no_calls_until_it_is_readmitted() -> None:
    """An exclusion holds for all calls or for those of one model, is shown, and leaves no share of rests."""
    replicas = group(3)
    bad, other, last = replicas.names
    replicas.exclude(bad, "serves llama")
    replicas.exclude(other, "its context is 2048", model="qwen")
    assert {home(replicas, key) for key in KEYS[:50]} == {other, last}
    assert {home(replicas, key, model="qwen") for key in KEYS[:50]} == {last}
    assert [(state.state, state.reason) for state in replicas.report(0.0)] == [
        ("excluded", "serves llama"),
        ("serving", "its context is 2048"),
        ("serving", ""),
    ]
    replicas.exclude(last, "gone")
    assert replicas.pick(0.0, model="qwen") is None
    replicas.readmit(bad)
    replicas.readmit(other)
    assert {home(replicas, key, model="qwen") for key in KEYS[:50]} == {bad, other}


def test_whether_there_is_another_replica() -> None:
    """A call moves on as long as a replica is left that it has not tried and that may serve it, at work or not."""
    replicas = group(3)
    first, second, third = replicas.names
    replicas.exclude(second, "serves llama")
    attempt(replicas, third, 0.0, CRASH)
    assert replicas.has_other(0.1, [first])
    attempt(replicas, third, 0.2, MISPLACED, model="qwen")
    assert not replicas.has_other(0.3, [first], model="qwen")
    assert replicas.has_other(0.3, [first], model="other")
    assert not replicas.has_other(0.3, [first, third])
    replicas.readmit(second)
    assert replicas.has_other(0.3, [first, third])


# Moves.


def kill(replicas: Group, name: str, now: float, verdict: Verdict) -> int:
    """End all that is in flight on a replica, and count what may move free of charge."""
    in_flight = states(replicas, now)[name].in_flight
    free = 0
    for _ in range(in_flight):
        replicas.ended(name, now, verdict)
        free += replicas.may_move_free(name, now, [name])
    return free


@pytest.mark.parametrize("verdict", [CRASH, UNREACHABLE], ids=["broken off", "cannot be reached"])
def test_what_was_in_flight_on_a_replica_that_dies_moves_free(verdict: Verdict) -> None:
    """Killing one of several moves all of its calls without the budget, and no call more for ten seconds."""
    replicas = group(3)
    dead = replicas.names[0]
    for _ in range(64):
        pick(replicas, 0.0)
    in_flight = states(replicas, 0.0)[dead].in_flight
    assert in_flight >= 20
    assert kill(replicas, dead, 1.0, verdict) == in_flight
    attempt(replicas, dead, 5.0, verdict)
    assert not replicas.may_move_free(dead, 5.0, [dead])
    attempt(replicas, dead, 15.0, verdict)
    assert replicas.may_move_free(dead, 15.0, [dead])
    assert not replicas.may_move_free(dead, 15.0, [dead])


@pytest.mark.parametrize(
    "verdict", [WELL, SILENT, WRONG, MISPLACED, NOTHING], ids=lambda value: value.blame.name
)
def test_what_neither_breaks_down_nor_refuses_frees_nothing(verdict: Verdict) -> None:
    """A call that leaves a replica for another reason is charged to the budget."""
    replicas = group(2)
    name = replicas.names[0]
    attempt(replicas, name, 0.0, verdict, model="other")
    assert not replicas.may_move_free(name, 0.0, [name])


def test_what_a_full_queue_refuses_moves_free() -> None:
    """A replica too small for its share costs the budget as little: as many as were in flight move, once in ten seconds."""
    replicas = group(2)
    small = replicas.names[0]
    for _ in range(64):
        pick(replicas, 0.0)
    in_flight = states(replicas, 0.0)[small].in_flight
    free = 0
    for _ in range(in_flight):
        replicas.ended(small, 1.0, OVERLOAD)
        free += replicas.may_move_free(small, 1.0, [small])
    assert free == in_flight
    for now in (5.0, 14.0):
        attempt(replicas, small, now, OVERLOAD)
        assert not replicas.may_move_free(small, now, [small])
    attempt(replicas, small, 24.0, OVERLOAD)
    assert replicas.may_move_free(small, 24.0, [small])


def test_one_replica_in_good_standing_is_enough_to_move_to() -> None:
    """A call may leave the dead while one other is well, though a third has just come back from a failure."""
    replicas = group(3, lambda: 0.5)
    dead, sick, good = replicas.names
    attempt(replicas, sick, 0.0, CRASH)
    come_back(replicas, sick, 3.0)
    attempt(replicas, dead, 4.0, CRASH)
    assert not replicas.may_move_free(dead, 4.0, [dead, good])
    assert replicas.may_move_free(dead, 4.0, [dead])


def test_a_replica_that_could_not_be_reached_is_well_when_it_is_back() -> None:
    """In a rolling restart the next server goes as soon as the last one is back: its calls may move there."""
    replicas = group(2, lambda: 0.5)
    first, second = replicas.names
    attempt(replicas, first, 0.0, CRASH)
    attempt(replicas, first, 20.0, UNREACHABLE)
    come_back(replicas, first, 25.0)
    attempt(replicas, second, 26.0, CRASH)
    assert replicas.may_move_free(second, 26.0, [second])


@pytest.mark.parametrize(("began", "is_well"), [(0.5, False), (1.0, True)], ids=["before", "after"])
def test_a_replica_that_stood_still_is_well_when_it_answers(began: float, *, is_well: bool) -> None:
    """A server that was busy for too long is no reason to charge a move to it, once it has answered something newer."""
    replicas = group(2, lambda: 0.5)
    dead, busy = replicas.names
    pick(replicas, 0.5, avoid=[dead])
    pick(replicas, 1.0, avoid=[dead])
    replicas.ended(busy, 2.0, SILENT, began=1.0)
    replicas.ended(busy, 2.5, WELL, began=began)
    attempt(replicas, dead, 3.0, CRASH)
    assert replicas.may_move_free(dead, 3.0, [dead]) is is_well


@pytest.mark.parametrize("verdict", [CRASH, UNREACHABLE, SILENT])
def test_no_move_is_free_into_a_sick_group(verdict: Verdict) -> None:
    """Where each other replica is tried, excluded or has failed in the last ten seconds, a move is charged."""
    replicas = group(4)
    dead, sick, excluded, tried = replicas.names
    attempt(replicas, sick, 0.0, verdict)
    replicas.exclude(excluded, "serves llama")
    attempt(replicas, dead, 9.0, CRASH)
    assert not replicas.may_move_free(dead, 9.9, [tried])
    if verdict is SILENT:
        assert replicas.may_move_free(dead, 10.0, [tried])
    else:
        come_back(replicas, sick, 9.95)
        assert replicas.may_move_free(dead, 10.0, [tried])


@pytest.mark.parametrize(
    ("verdict", "is_well"),
    [(CRASH, False), (UNREACHABLE, False), (SILENT, False), (WRONG, True), (OVERLOAD, True), (NOTHING, True)],
    ids=lambda value: value.blame.name if isinstance(value, Verdict) else str(value),
)
def test_a_replica_that_may_not_rest_is_known_to_be_sick(verdict: Verdict, *, is_well: bool) -> None:
    """Where half of a group rest, one more that cannot be counted on is nowhere to move to for ten seconds."""
    replicas = group(3)
    resting, sick, silent = replicas.names
    attempt(replicas, resting, 0.0, CRASH)
    attempt(replicas, sick, 0.0, verdict)
    assert states(replicas, 0.0)[sick].state == "serving"
    assert replicas.has_alternative(silent, 9.9) is is_well
    assert replicas.has_alternative(silent, 10.0)


# Late first tokens.


def hears_first_tokens(name: str, *others: str) -> Group:
    """A group that knows when a first token is late, and has saved up two second requests."""
    replicas = Group((name, *others), lambda: 0.5)
    for _ in range(100):
        replicas.hedge_after()
        begin(replicas, name, 0.0)
        replicas.heard(name, 0.0, 0.1)
        replicas.ended(name, 0.0, WELL)
    return replicas


def test_what_was_not_waited_for_was_late() -> None:
    """A first token that is asked of a second replica counts as later than the guess, which grows."""
    replicas = hears_first_tokens("a", "b")
    before = replicas.hedge_after()
    assert replicas.may_hedge("a", 1.0, None)
    assert before < replicas.hedge_after() < 2 * before


def test_how_often_a_second_replica_is_asked() -> None:
    """Where every first token is late, no more than 2% of the streams are asked twice, and two besides."""
    replicas = hears_first_tokens("a", "b")
    hedged = 0
    for _ in range(5_000):
        replicas.hedge_after()
        hedged += replicas.may_hedge("a", 1.0, None)
    assert 100 <= hedged <= 102


@pytest.mark.parametrize("trouble", ["rests", "full", "another model", "excluded", "excluded for the model"])
def test_which_replica_is_asked_second(trouble: str) -> None:
    """Only one in good standing that serves the model and takes more work gladly, but any such will do."""
    replicas = hears_first_tokens("a", "b", "c")
    replicas.exclude("c", "not yet")
    match trouble:
        case "excluded":
            replicas.exclude("b", "it is another")
        case "excluded for the model":
            replicas.exclude("b", "its context is short", model="qwen")
        case _:
            verdict = {"rests": CRASH, "full": OVERLOAD, "another model": MISPLACED}[trouble]
            attempt(replicas, "b", 1.0, verdict, model="qwen")
    assert not replicas.may_hedge("a", 1.0, "qwen")
    replicas.readmit("c")
    assert replicas.may_hedge("a", 1.0, "qwen")


# Changes while running.


def test_new_replicas_warm_up_once_a_call_has_begun() -> None:
    """Before the first call all are new, and each has its whole share; after it, though one alone has worked, none has."""
    replicas = group(2)
    replicas.update([*names(2), "new"], 0.0)
    assert {state.state for state in replicas.report(0.0)} == {"serving"}
    pick(replicas, 1.0)
    replicas.update([*names(2), "new", "newer"], 1.0)
    assert [state.state for state in replicas.report(1.0)] == ["serving", "serving", "serving", "warming"]


def test_replicas_change_while_calls_run() -> None:
    """New replicas warm up, the others keep what is known of them; a call on a removed one ends, and may move free."""
    replicas = group(2)
    first, second = replicas.names
    attempt(replicas, second, 0.0, WELL)
    for _ in range(4):
        pick(replicas, 0.0)
    replicas.update([second, "new"], 1.0)
    assert replicas.names == (second, "new")
    assert [(state.served, state.in_flight, state.state) for state in replicas.report(1.0)] == [
        (1, 2, "serving"),
        (0, 0, "warming"),
    ]
    replicas.ended(first, 1.5, CRASH)
    assert replicas.may_move_free(first, 1.5, [first])
    replicas.update([first, second], 2.0)
    assert states(replicas, 2.0)[first].in_flight == 1
    replicas.ended(first, 2.5, WELL)
    assert replicas.may_move_free("never known", 2.5, [])
    replicas.ended("never known", 2.5, WELL)
    replicas.abandoned("never known", 2.5)
    assert states(replicas, 2.5)[first].in_flight == 0


def test_a_removed_replica_is_forgotten_with_its_last_call() -> None:
    """One that comes back later begins anew, also if its last caller left."""
    replicas = group(2)
    first, second = replicas.names
    for last in (None, "ended", "abandoned"):
        attempt(replicas, first, 0.0, WELL)
        if last:
            assert replicas.pick(0.0, avoid=[second]) == first
        replicas.update([second], 0.0)
        if last == "ended":
            replicas.ended(first, 0.0, WELL)
        elif last == "abandoned":
            replicas.abandoned(first, 0.0)
        replicas.update([first, second], 0.0)
        assert states(replicas, 0.0)[first].served == 0


def test_a_forked_process_begins_with_nothing_in_flight() -> None:
    """What its parent has under way ends there; probes too, so that a replica is not left waiting for their end."""
    replicas = group(2, lambda: 0.5)
    bad, other = replicas.names
    attempt(replicas, bad, 0.0, CRASH)
    for _ in range(3):
        assert replicas.pick(0.5, avoid=[other]) == bad
    assert replicas.pick(0.5) == other
    replicas.forget()
    assert [state.in_flight for state in replicas.report(0.5)] == [0, 0]
    assert pick(replicas, 5.0) == bad
    replicas.update([other], 5.0)
    replicas.forget()
    replicas.update([bad, other], 5.0)
    assert [state.in_flight for state in replicas.report(5.0)] == [0, 0]


def test_a_forked_process_takes_locks_of_its_own() -> None:
    """A thread that its parent had within the group or the budget is not there to let go of them: nobody waits for it."""
    within, may_leave = threading.Semaphore(0), threading.Event()

    def stay() -> float:
        within.release()
        may_leave.wait(30)
        return 0.5

    class Moment(float):
        def __sub__(self, other: float) -> float:
            return stay() * 0.0 + float(self) - other

    replicas = Group(names(2), stay)

    def run(*calls: Callable[[], object]) -> list[threading.Thread]:
        threads = [threading.Thread(target=call, daemon=True) for call in calls]
        for thread in threads:
            thread.start()
        return threads

    left_behind = run(lambda: replicas.pick(0.0), lambda: replicas.budget.spend(Moment(0.0)))
    assert all(within.acquire(timeout=10) for _ in left_behind)
    replicas.forget()
    of_the_child = run(lambda: replicas.pick(1.0, key=b"k"), lambda: replicas.budget.spend(1.0))
    for thread in of_the_child:
        thread.join(10)
    waiting = [thread.is_alive() for thread in of_the_child]
    may_leave.set()
    for thread in left_behind:
        thread.join(10)
    assert waiting == [False, False]


def test_whether_a_silent_replica_may_be_given_up() -> None:
    """It may while any other is in good standing; being silent itself, it is none."""
    replicas = group(3)
    silent, sick, good = replicas.names
    attempt(replicas, sick, 0.0, SILENT)
    assert replicas.has_alternative(silent, 1.0)
    replicas.exclude(good, "serves llama")
    assert not replicas.has_alternative(silent, 1.0)
    assert replicas.has_alternative(silent, 10.0)


class Work:
    """Calls in flight, as their callers count them."""

    def __init__(self) -> None:
        self.group = group(3)
        self.running: list[str] = []
        self.now = 0.0

    def step(self, action: int, at: int) -> None:
        self.now += at / 10
        match action:
            case 0 | 1 | 2:
                wishes: list[dict[str, Any]] = [
                    {},
                    {"key": b"%d" % at},
                    {"avoid": names(5)[:at]},
                    {"model": "qwen"},
                ]
                name = self.group.pick(self.now, **wishes[at % 4])
                if name is not None:
                    self.running.append(name)
            case 3:
                chosen = itertools.compress(names(5), [at & 1, at & 2, 1, at & 4, at & 8])
                self.group.update(list(chosen), self.now)
            case _ if self.running:
                name = self.running.pop(at % len(self.running))
                if at % 9 == 8:
                    self.group.abandoned(name, self.now)
                else:
                    self.group.ended(name, self.now, VERDICTS[at % 8], model="qwen", first_token=at / 10)
            case _:
                pass


def left_in_the_midst_of_a_pick(number: int) -> tuple[Group, str]:
    """A group of two, and the name of the one that so many callers left while the other was picked."""
    dropped: list[str] = []

    def chance() -> float:
        # Drawn while the group is locked, as the garbage collector may run there.
        while dropped:
            replicas.abandoned(dropped.pop(), 1.0)
        return 0.5

    replicas = Group(names(2), chance)
    name = replicas.names[0]
    begin(replicas, name, 0.0, number)
    dropped += [name] * number
    picking = threading.Thread(target=replicas.pick, args=(1.0,), daemon=True)
    picking.start()
    picking.join(10)
    assert not picking.is_alive()
    assert not dropped
    return replicas, name


def test_left_in_the_midst_of_a_pick() -> None:
    """Streams that the garbage collector finds while a replica is picked are taken out of flight, and nothing hangs."""
    replicas, _ = left_in_the_midst_of_a_pick(1)
    assert sum(state.in_flight for state in replicas.report(1.0)) == 1
    replicas, left = left_in_the_midst_of_a_pick(3)
    assert pick(replicas, 1.0) == left


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 100)), max_size=80))
def test_what_is_in_flight_is_what_callers_have_in_flight(steps: list[tuple[int, int]]) -> None:
    """Through failures, rests and changes of the group, no attempt is counted that has ended, and none is forgotten."""
    work = Work()
    for action, at in steps:
        work.step(action, at)
        for state in work.group.report(work.now):
            assert state.in_flight == work.running.count(state.name)
            assert state.limit >= 1


def test_many_threads_share_a_group() -> None:
    """Threads that pick and end at once lose no count."""
    replicas = group(3)

    def work() -> None:
        for step in range(500):
            replicas.budget.earn(step / 1000)
            replicas.ended(pick(replicas, step / 1000), step / 1000, WELL, first_token=0.1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = replicas.report(1.0)
    assert sum(state.served for state in report) == 4000
    assert {state.in_flight for state in report} == {0}


def test_every_blame_is_dealt_with() -> None:
    """A new word about replicas must find its place here too."""
    assert {verdict.blame for verdict in VERDICTS} == set(Blame)
