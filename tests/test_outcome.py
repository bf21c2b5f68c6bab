"""The table of outcomes: every attempt has one verdict, and it is the right one."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_connect.errors import Timer
from vllm_connect.facts import ServedModel, ServerFacts
from vllm_connect.outcome import (
    CASES,
    Again,
    Attempt,
    Blame,
    Ending,
    Outcome,
    Reading,
    judge,
    judged,
    unknown_finish_reasons,
)
from vllm_connect.outcome.attempt import Phase
from vllm_connect.outcome.completeness import asked_items, in_order, reason_of
from vllm_connect.outcome.judgement import FINISHED, NOT_FINISHED
from vllm_connect.outcome.profiles import PROFILES, STRICT, may_be_whole, profile_of

REASONS = st.sampled_from([*sorted(FINISHED), "abort", "error", None, "repetition", "never heard of"])
PHASES: tuple[Phase, ...] = get_args(Phase)
ENDINGS: tuple[Ending, ...] = get_args(Ending)
READINGS: tuple[Reading, ...] = get_args(Reading)
TIMERS: tuple[Timer, ...] = get_args(Timer)


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Attempts as they can be: no part of an answer reaches a caller without a connection, or where it was refused."""
    phase: Phase = draw(st.sampled_from(PHASES))
    ending: Ending = draw(st.sampled_from(ENDINGS))
    if phase == "connect":
        ending = draw(st.sampled_from(["failed", "timer", "held back"]))
    elif ending in ("failed", "held back"):
        ending = "lost"
    has_timer = ending == "timer"
    status = draw(st.none() | st.integers(200, 599)) if phase in ("answer", "complete") else None
    reading = draw(st.sampled_from(READINGS)) if ending == "answer" else "sound"
    is_refusal = status is not None and status >= 300 and reading == "sound"
    may_deliver = phase in ("answer", "complete") and not is_refusal
    return Attempt(
        phase=phase,
        ending=ending,
        timer=draw(st.sampled_from(TIMERS)) if has_timer else None,
        mends_itself=draw(st.booleans()),
        status=status,
        should_retry=draw(st.sampled_from([None, None, True, False])),
        engine_is_dead=draw(st.booleans()) and status == 500,
        lacks_model=draw(st.booleans()) and status == 404,
        reading=reading,
        has_end_mark=draw(st.booleans()) or is_refusal,
        finish_reasons=() if is_refusal else tuple(draw(st.lists(REASONS, max_size=3))),
        delivered=may_deliver and draw(st.booleans()),
    )


# -- each case, met by an attempt that is like it


class Expected(NamedTuple):
    attempt: Attempt
    outcome: Outcome
    again: Again
    blame: Blame
    is_flagged: bool = False


def cut(**known: Any) -> Attempt:
    return Attempt(phase="answer", **known)


def refused(status: int, **known: Any) -> Attempt:
    return Attempt(phase="complete", status=status, **known)


EXAMPLES: dict[str, Expected] = {
    "held back": Expected(
        Attempt(phase="connect", ending="held back"), Outcome.NOT_SENT, Again.NEVER, Blame.NOTHING
    ),
    "no time to connect": Expected(
        Attempt(phase="connect", ending="timer", timer="total"),
        Outcome.NOT_SENT,
        Again.NEVER,
        Blame.UNREACHABLE,
    ),
    "no connection": Expected(
        Attempt(phase="connect", ending="failed"), Outcome.NOT_SENT, Again.FREE, Blame.UNREACHABLE
    ),
    "no way": Expected(
        Attempt(phase="connect", ending="failed", mends_itself=False),
        Outcome.NOT_SENT,
        Again.FREE_ELSEWHERE,
        Blame.UNREACHABLE,
    ),
    "too large": Expected(cut(ending="too large"), Outcome.INVALID, Again.NEVER, Blame.NOTHING),
    "cut after tokens": Expected(
        cut(ending="lost", delivered=True), Outcome.PARTIAL, Again.NEVER, Blame.CRASH
    ),
    "stalled after tokens": Expected(
        cut(ending="timer", timer="between_tokens", delivered=True),
        Outcome.PARTIAL,
        Again.NEVER,
        Blame.SILENT,
    ),
    "spoilt after tokens": Expected(
        cut(reading="no answer", delivered=True), Outcome.PARTIAL, Again.NEVER, Blame.WRONG
    ),
    "error after tokens": Expected(
        cut(reading="error", delivered=True), Outcome.PARTIAL, Again.NEVER, Blame.CRASH
    ),
    "ended after tokens": Expected(
        cut(has_end_mark=False, finish_reasons=("stop",), delivered=True),
        Outcome.PARTIAL,
        Again.NEVER,
        Blame.CRASH,
    ),
    "timed out": Expected(
        Attempt(phase="sent", ending="timer", timer="first_token"),
        Outcome.UNKNOWN,
        Again.NEVER,
        Blame.SILENT,
    ),
    "lost": Expected(Attempt(phase="sent", ending="lost"), Outcome.UNKNOWN, Again.CHARGED, Blame.CRASH),
    "not HTTP": Expected(cut(ending="malformed"), Outcome.INVALID, Again.ELSEWHERE, Blame.WRONG),
    "no answer": Expected(refused(200, reading="no answer"), Outcome.INVALID, Again.ELSEWHERE, Blame.WRONG),
    "redirected": Expected(refused(307), Outcome.REFUSED, Again.NEVER, Blame.WRONG),
    "told to stay away": Expected(
        refused(503, should_retry=False), Outcome.REFUSED, Again.NEVER, Blame.NOTHING
    ),
    "busy": Expected(refused(503), Outcome.REFUSED, Again.CHARGED, Blame.OVERLOAD),
    "engine dead": Expected(refused(500, engine_is_dead=True), Outcome.UNKNOWN, Again.CHARGED, Blame.CRASH),
    "told to come again": Expected(
        refused(409, should_retry=True), Outcome.REFUSED, Again.CHARGED, Blame.NOTHING
    ),
    "gateway gave up": Expected(refused(504), Outcome.UNKNOWN, Again.NEVER, Blame.SILENT),
    "gateway lost it": Expected(refused(502), Outcome.UNKNOWN, Again.CHARGED, Blame.CRASH),
    "server failed": Expected(refused(500), Outcome.UNKNOWN, Again.CHARGED, Blame.WRONG),
    "request came late": Expected(refused(408), Outcome.REFUSED, Again.CHARGED, Blame.NOTHING),
    "model not there": Expected(
        refused(404, lacks_model=True), Outcome.REFUSED, Again.FREE_ELSEWHERE, Blame.MISPLACED
    ),
    "refused": Expected(refused(400), Outcome.REFUSED, Again.NEVER, Blame.NOTHING),
    "error in its place": Expected(cut(reading="error"), Outcome.REFUSED, Again.NEVER, Blame.NOTHING),
    "broken off": Expected(cut(finish_reasons=("abort",)), Outcome.PARTIAL, Again.ELSEWHERE, Blame.CRASH),
    "finished otherwise": Expected(
        refused(200, finish_reasons=("stop", "repetition")),
        Outcome.DONE,
        Again.NEVER,
        Blame.WELL,
        is_flagged=True,
    ),
    "done": Expected(refused(200, finish_reasons=("length",)), Outcome.DONE, Again.NEVER, Blame.WELL),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_case(name: str) -> None:
    """Each case is met, with its outcome, what may follow, and what it says of the replica."""
    expected = EXAMPLES[name]
    verdict = judge(expected.attempt)
    assert (verdict.case, verdict.outcome, verdict.again, verdict.blame, verdict.is_flagged) == (
        name,
        *expected[1:],
    )
    assert verdict.is_done is (expected.outcome is Outcome.DONE)


def test_every_case_has_an_example() -> None:
    """No case is without an example, none stands twice, and each says what is seen and what its caller gets."""
    names = [case.verdict.case for case in CASES]
    assert names == list(EXAMPLES)
    assert all(case.seen and case.told for case in CASES)


# What stands close to a border between two cases -> the case it belongs to.
BORDERS: list[tuple[Attempt, str]] = [
    (Attempt(phase="connect", ending="timer", timer="connect"), "no connection"),
    (Attempt(phase="connect", ending="timer", timer="connect", mends_itself=False), "no way"),
    (Attempt(phase="sent", ending="timer", timer="total"), "timed out"),
    (Attempt(phase="sent", ending="held back"), "held back"),
    (Attempt(phase="sent", ending="gone"), "lost"),
    (cut(ending="gone", delivered=True), "cut after tokens"),
    (cut(ending="lost"), "lost"),
    (cut(ending="lost", finish_reasons=("stop",), delivered=True), "cut after tokens"),
    (cut(ending="timer", timer="total"), "timed out"),
    (cut(ending="too large", delivered=True), "too large"),
    (cut(ending="malformed", delivered=True), "spoilt after tokens"),
    (cut(ending="malformed", status=200), "not HTTP"),
    (cut(reading="no answer", delivered=True, has_end_mark=False), "spoilt after tokens"),
    (cut(reading="error", status=400, delivered=True), "error after tokens"),
    (cut(reading="error", delivered=True, has_end_mark=False), "error after tokens"),
    (cut(reading="error", status=400), "refused"),
    (cut(reading="error", status=404, lacks_model=True), "model not there"),
    (cut(reading="error", status=500), "server failed"),
    (cut(reading="error", status=500, engine_is_dead=True), "engine dead"),
    (cut(reading="error", status=503), "busy"),
    (cut(reading="error", finish_reasons=(None,)), "error in its place"),
    (cut(finish_reasons=("error",), delivered=True), "ended after tokens"),
    (cut(finish_reasons=(None,), delivered=True), "ended after tokens"),
    (cut(finish_reasons=("stop", None)), "broken off"),
    (cut(finish_reasons=("stop", "error")), "broken off"),
    (cut(finish_reasons=("stop",), has_end_mark=False), "broken off"),
    (cut(finish_reasons=("repetition",), has_end_mark=False), "broken off"),
    (cut(finish_reasons=("stop",), delivered=True), "done"),
    (cut(finish_reasons=("repetition",), delivered=True), "finished otherwise"),
    (cut(), "done"),
    *((cut(finish_reasons=(reason,)), "done") for reason in FINISHED),
    (refused(200), "done"),
    (refused(299), "done"),
    (refused(300), "redirected"),
    (refused(399), "redirected"),
    (refused(304, should_retry=True), "redirected"),
    (refused(400, should_retry=False), "told to stay away"),
    (refused(404, lacks_model=True, should_retry=False), "told to stay away"),
    (refused(404), "refused"),
    (refused(409), "refused"),
    (refused(499), "refused"),
    (refused(400, should_retry=True), "told to come again"),
    (refused(404, lacks_model=True, should_retry=True), "told to come again"),
    (refused(408, should_retry=True), "told to come again"),
    (refused(429), "busy"),
    (refused(429, should_retry=True), "busy"),
    (refused(429, should_retry=False), "told to stay away"),
    (refused(428), "refused"),
    (refused(430), "refused"),
    (refused(500, should_retry=True), "told to come again"),
    (refused(500, engine_is_dead=True, should_retry=True), "engine dead"),
    (refused(500, engine_is_dead=True, should_retry=False), "told to stay away"),
    (refused(501), "server failed"),
    (refused(505), "server failed"),
    (refused(599), "server failed"),
    (refused(504, should_retry=True), "told to come again"),
    (refused(502, should_retry=False), "told to stay away"),
    (refused(200, should_retry=False), "done"),
    (refused(200, should_retry=True, finish_reasons=("abort",)), "broken off"),
    (refused(200, reading="no answer", finish_reasons=("abort",)), "no answer"),
    (refused(204, reading="no answer"), "no answer"),
]


@pytest.mark.parametrize(
    ("attempt", "case"), BORDERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_border(attempt: Attempt, case: str) -> None:
    """Of two cases that are near, the right one is met."""
    assert judge(attempt).case == case


# -- what holds of all attempts


@given(attempts())
def test_delivered_is_never_sent_again(attempt: Attempt) -> None:
    """What a caller holds a part of is never asked for again, and is no success unless it is all."""
    verdict = judge(attempt)
    if attempt.delivered:
        assert verdict.again is Again.NEVER
        assert verdict.outcome in (Outcome.PARTIAL, Outcome.INVALID, Outcome.DONE)


@given(attempts())
def test_what_was_not_sent(attempt: Attempt) -> None:
    """NOT_SENT is what got no connection, and nothing else; it costs nobody anything."""
    verdict = judge(attempt)
    assert (verdict.outcome is Outcome.NOT_SENT) is (attempt.phase == "connect")
    if verdict.outcome is Outcome.NOT_SENT:
        assert verdict.again in (Again.NEVER, Again.FREE, Again.FREE_ELSEWHERE)


@given(attempts())
def test_done_is_all_of_it(attempt: Attempt) -> None:
    """Done is an answer to its end, sound, marked, with a finish of every choice; flagged where a finish is unknown."""
    is_whole = (
        attempt.phase != "connect"
        and attempt.ending == "answer"
        and attempt.reading == "sound"
        and attempt.has_end_mark
        and (attempt.status is None or attempt.status < 300)
        and not NOT_FINISHED & set(attempt.finish_reasons)
    )
    verdict = judge(attempt)
    assert verdict.is_done is is_whole
    assert (verdict.blame is Blame.WELL) is is_whole
    assert verdict.is_flagged is (is_whole and not set(attempt.finish_reasons) <= FINISHED)


@given(attempts())
def test_a_generation_that_timed_out_is_not_repeated(attempt: Attempt) -> None:
    """Once a request has left, no timer has it sent again."""
    if attempt.ending == "timer" and attempt.phase != "connect":
        assert judge(attempt).again is Again.NEVER


@given(attempts())
def test_a_wrong_request_is_wrong_everywhere(attempt: Attempt) -> None:
    """A 4xx is not sent again, but where the server is busy, was too slow, lacks the model, or asks for it."""
    status = attempt.status
    if (
        status is None
        or not 400 <= status < 500
        or attempt.ending != "answer"
        or attempt.reading == "no answer"
    ):
        return
    if status in (408, 429) or attempt.lacks_model or attempt.should_retry:
        return
    assert judge(attempt).again is Again.NEVER


@given(attempts())
def test_judged(attempt: Attempt) -> None:
    """An error is told what is known of its attempt, and the name of the outcome; it stays the same error."""
    error = ValueError("x")
    assert judged(error, attempt) is error
    told: Any = error
    assert told.attempt == attempt
    assert told.outcome == judge(attempt).outcome.value
    assert type(told.outcome) is str


# -- how much was asked for


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": None}, 1),
        ({"n": 0}, 1),
        ({"n": -2}, 1),
        ({"n": True}, 1),
        ({"n": "3"}, 1),
        ({"prompt": "a"}, 1),
        ({"prompt": ["a", "b"]}, 2),
        ({"prompt": ("a", "b"), "n": 3}, 6),
        ({"prompt": ["a"]}, 1),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [1]}, 1),
        ({"prompt": [[1, 2], [3]], "n": 2}, 4),
        ({"prompt": []}, 1),
        ({"prompt": [], "n": 2}, 2),
        ({"prompt": None, "input": ["a", "b", "c"]}, 3),
        ({"input": "abc"}, 1),
        ({"input": [5, 6]}, 1),
        ({"prompt": "a", "input": ["a", "b"]}, 1),
        ({"messages": [{}, {}]}, 1),
    ],
    ids=str,
)
def test_asked_items(body: dict[str, Any], asked: int) -> None:
    """A request asks for `n` of each prompt, or for a vector of each input; token ids are one prompt."""
    assert asked_items(body) == asked


@pytest.mark.parametrize(
    ("told", "asked", "reasons"),
    [
        ({}, 2, (None, None)),
        ({0: "stop"}, 1, ("stop",)),
        ({1: "stop"}, 2, (None, "stop")),
        ({0: "", 1: "length"}, 2, (None, "length")),
        ({0: "stop", 7: "abort", 3: None}, 1, ("stop", None, "abort")),
        ({-1: "error"}, 1, (None, "error")),
        ({0: {"type": "stop"}}, 1, ("{'type': 'stop'}",)),
    ],
    ids=str,
)
def test_in_order(told: dict[int, object], asked: int, reasons: tuple[str | None, ...]) -> None:
    """Every choice that was asked for has its place, and every other that came; an empty reason is none."""
    assert in_order(told, asked) == reasons
    assert all(reason_of(value) is None for value in ("", None, 0))


def test_unknown_finish_reasons() -> None:
    """A caller finds the finish reasons that are unknown: not those of the reference, not those of a broken answer."""

    @dataclasses.dataclass
    class Choice:
        finish_reason: Any

    @dataclasses.dataclass
    class Answer:
        choices: list[Any]

    told = ("stop", "repetition", "abort", None, "", "tool_calls", "exploded")
    answer = Answer([*(Choice(reason) for reason in told), object()])
    assert unknown_finish_reasons(answer) == ("repetition", "exploded")


# -- other kinds of server


def facts(*owners: str | None, version: str | None = None) -> ServerFacts:
    models = tuple(ServedModel(id=f"m{number}", owned_by=owner) for number, owner in enumerate(owners))
    return ServerFacts("http://server/v1", version, models)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (None, STRICT.name),
        (facts(), STRICT.name),
        (facts(None), STRICT.name),
        (facts("vllm"), STRICT.name),
        (facts("library", "vllm"), STRICT.name),
        (facts("library", version="0.32.0"), STRICT.name),
        (facts("library"), "Ollama"),
        (facts(None, "library"), "Ollama"),
        (facts("llamacpp"), "llama.cpp"),
        (facts("somebody"), PROFILES[-1].name),
    ],
)
def test_profile(known: ServerFacts | None, name: str) -> None:
    """A server is judged by its own kind's rules only where it is known to be no vLLM."""
    assert profile_of(known).name == name


WITHOUT_MARK = cut(has_end_mark=False, finish_reasons=("stop", "length"))
WITHOUT_REASON = cut(finish_reasons=("stop", None))
WITHOUT_BOTH = cut(has_end_mark=False, finish_reasons=(None,))
WITHOUT_CHOICES = cut(has_end_mark=False)
ABORTED = cut(finish_reasons=("stop", "abort"))
ABORTED_WITHOUT_MARK = cut(has_end_mark=False, finish_reasons=("abort",))
# What each kind takes for whole.
ACCEPTED: dict[str, list[Attempt]] = {
    STRICT.name: [],
    "Ollama": [WITHOUT_REASON],
    "llama.cpp": [WITHOUT_MARK],
    PROFILES[-1].name: [WITHOUT_MARK, WITHOUT_REASON],
}


@pytest.mark.parametrize("profile", [STRICT, *PROFILES], ids=lambda profile: profile.name)
@pytest.mark.parametrize(
    "attempt",
    [WITHOUT_MARK, WITHOUT_REASON, WITHOUT_BOTH, WITHOUT_CHOICES, ABORTED, ABORTED_WITHOUT_MARK],
    ids=["no mark", "no reason", "neither", "nothing", "aborted", "aborted without mark"],
)
def test_what_a_profile_accepts(profile: Any, attempt: Attempt) -> None:
    """A kind of server may leave out what its row says, never both, and never break off."""
    assert judge(profile.read(attempt)).is_done is (attempt in ACCEPTED[profile.name])


@given(attempts())
def test_a_profile_changes_nothing_that_is_done(attempt: Attempt) -> None:
    """What is done by the strict rules is so by all; what may be whole lacks a mark or a reason, and nothing else."""
    if judge(attempt).is_done:
        assert all(judge(profile.read(attempt)).is_done for profile in PROFILES)
    elif may_be_whole(attempt):
        assert not attempt.has_end_mark or None in attempt.finish_reasons
        mended = dataclasses.replace(attempt, has_end_mark=True, finish_reasons=())
        assert judge(mended).is_done


def test_may_be_whole() -> None:
    """A server is asked who it is only where some kind of it would be done."""
    whole = [WITHOUT_MARK, WITHOUT_REASON]
    for attempt in (WITHOUT_MARK, WITHOUT_REASON, WITHOUT_BOTH, WITHOUT_CHOICES, ABORTED):
        assert may_be_whole(attempt) is (attempt in whole)
