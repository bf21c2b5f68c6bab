"""Late first tokens asked of a second replica (`hedge=True`): when, how often, and what becomes of both attempts."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.callers import Caller
from vllm_connect import AnswerIncomplete, AsyncOpenAI, OpenAI, ServerUnreachable
from vllm_connect.dispatch.wire_sender import send
from vllm_connect.replicas.hedging import ENOUGH
from vllm_connect.simulator import Simulator

MODEL = "qwen"
CHAT = "/v1/chat/completions"
both_lanes = pytest.mark.parametrize("caller", ["blocking", "asyncio"], indirect=True)
# Far longer than a first token takes here, far shorter than a test may.
SLOW = 20.0


@pytest.fixture
def pair() -> Iterator[tuple[Simulator, Simulator]]:
    with Simulator(models=(MODEL,)) as first, Simulator(models=(MODEL,)) as second:
        yield first, second


class Pair:
    """Two servers and their client, whose group has heard enough first tokens to know when one is late."""

    def __init__(self, pair: tuple[Simulator, Simulator], kind: str, **options: Any) -> None:
        self.servers = pair
        self.kind = kind
        self.options: dict[str, Any] = {"hedge": True, "model": MODEL, **options}

    def run(self, *steps: Any) -> list[Any]:
        """Warm the client up, then take each step: a function without arguments, or a text that is asked."""
        urls = [server.url for server in self.servers]
        if self.kind == "blocking":
            with OpenAI(base_url=urls, **self.options) as client:
                told = [self._told(client, f"warm {number}") for number in range(ENOUGH)]
                assert all(told)
                return [step() if callable(step) else self._told(client, step) for step in steps]
        return asyncio.run(self._run(urls, steps))

    async def _run(self, urls: list[str], steps: Any) -> list[Any]:
        async with AsyncOpenAI(base_url=urls, **self.options) as client:
            told = [await self._atold(client, f"warm {number}") for number in range(ENOUGH)]
            assert all(told)
            return [
                await asyncio.to_thread(step) if callable(step) else await self._atold(client, step)
                for step in steps
            ]

    @staticmethod
    def _told(client: Any, text: str) -> Any:
        return list(client.chat.completions.create(**asked(text)))

    @staticmethod
    async def _atold(client: Any, text: str) -> Any:
        return [chunk async for chunk in await client.chat.completions.create(**asked(text))]

    def asked_for(self, text: str) -> list[int]:
        """How often each server was asked this."""
        return [sum(text.encode() in request.body for request in server.requests) for server in self.servers]


def asked(text: str) -> dict[str, Any]:
    messages: Any = [{"role": "user", "content": text}]
    return {"messages": messages, "max_tokens": 3, "stream": True, "extra_headers": {"X-Session-ID": "s"}}


def home_of(pair: tuple[Simulator, Simulator], caller: Caller) -> tuple[Simulator, Simulator]:
    """The two with the one first that the session is at home at."""
    tried = Pair(pair, caller.kind, hedge=False)
    tried.run("probe")
    return pair if tried.asked_for("probe")[0] else (pair[1], pair[0])


@both_lanes
def test_a_late_first_token(caller: Caller, pair: tuple[Simulator, Simulator]) -> None:
    """The second replica's answer is the caller's, and the first one's work ends at once, though it says nothing."""
    home, other = home_of(pair, caller)
    hedged = Pair((home, other), caller.kind)
    began = time.monotonic()
    _, chunks, _ = hedged.run(
        lambda: home.pace(first_token_delay=SLOW), "late", lambda: wait_until(lambda: home.aborted == 1)
    )
    assert hedged.asked_for("late") == [1, 1]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert time.monotonic() - began < SLOW
    assert other.aborted == 0


@both_lanes
@pytest.mark.parametrize("fault", ["busy", "close-unanswered", "error-first"])
def test_a_second_that_fails(caller: Caller, fault: str, pair: tuple[Simulator, Simulator]) -> None:
    """Where the second replica fails, the first one's answer is waited for."""
    home, other = home_of(pair, caller)
    hedged = Pair((home, other), caller.kind)
    _, _, chunks = hedged.run(
        lambda: home.pace(first_token_delay=0.4),
        lambda: other.faults.turn_on(fault, path=CHAT),
        "late",
    )
    assert chunks[-1].choices[0].finish_reason == "length"
    assert hedged.asked_for("late")[0] == 1
    assert hedged.asked_for("late")[1] >= 1


def goes_later(server: Simulator) -> None:
    """Have a server say nothing, and break its connections in a moment."""
    server.pace(first_token_delay=SLOW)
    threading.Timer(0.4, lambda: server.faults.turn_on("refused", drop=True)).start()


@both_lanes
def test_both_fail(caller: Caller, pair: tuple[Simulator, Simulator]) -> None:
    """Where both fail, the caller is told of the first, as if it had been alone."""
    home, other = home_of(pair, caller)
    hedged = Pair((home, other), caller.kind, max_retries=0)
    with pytest.raises((ServerUnreachable, AnswerIncomplete), match=re.escape(home.url)):
        hedged.run(lambda: goes_later(home), lambda: other.faults.turn_on("too-long", path=CHAT), "late")
    assert hedged.asked_for("late") == [1, 1]


@both_lanes
def test_a_first_that_fails(caller: Caller, pair: tuple[Simulator, Simulator]) -> None:
    """Where the first fails once the second was asked, the second's answer is waited for, and nobody asked again."""
    home, other = home_of(pair, caller)
    hedged = Pair((home, other), caller.kind)
    _, _, chunks = hedged.run(lambda: goes_later(home), lambda: other.pace(first_token_delay=0.8), "late")
    assert chunks[-1].choices[0].finish_reason == "length"
    assert hedged.asked_for("late") == [1, 1]


def test_a_first_whose_thread_is_late() -> None:
    """What is shown of a call is of the answer that was taken, also where the other one's thread goes on after that."""
    held, taken, gone = threading.Event(), threading.Event(), threading.Event()

    def hold(frame: Any, event: str, _: object) -> None:
        """Hold the first thread that has its answer in hand, where the scheduler may hold it."""
        if event == "return" and frame.f_code is send.__code__ and not held.is_set():
            held.set()
            taken.wait(5)
            threading.Timer(0.2, gone.set).start()

    names_requests: Any = {"enable_request_id_headers": True}
    with (
        Simulator(models=(MODEL,)) as a,
        Simulator(models=(MODEL,), **names_requests) as b,
        OpenAI(base_url=[a.url, b.url], hedge=True, model=MODEL) as client,
    ):
        for number in range(ENOUGH):
            Pair._told(client, f"warm {number}")
        threading.setprofile(hold)
        try:
            stream = client.chat.completions.create(**asked("late"))
        finally:
            threading.setprofile(None)
        assert held.is_set()
        taken.set()
        gone.wait(5)
        is_of_b = str(stream.response.request.url).startswith(b.url)
        assert ("x-request-id" in stream.response.headers) is is_of_b
        stream.close()


def test_no_more_threads(pair: tuple[Simulator, Simulator], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, a stream is asked for as any other, and not twice."""
    home, other = home_of(pair, Caller("blocking"))
    hedged = Pair((home, other), "blocking")
    of_system = threading.Thread.start
    left = [0]

    def start(thread: threading.Thread) -> None:
        if "race" in repr(getattr(thread, "_args", ())):
            left[0] -= 1
            if left[0] < 0:
                raise RuntimeError("can't start new thread")
        of_system(thread)

    def only(number: int) -> None:
        left[0] = number
        monkeypatch.setattr(threading.Thread, "start", start)

    _, _, none, _, one = hedged.run(
        lambda: home.pace(first_token_delay=0.4), lambda: only(0), "without", lambda: only(1), "with one"
    )
    assert [chunks[-1].choices[0].finish_reason for chunks in (none, one)] == ["length", "length"]
    assert [hedged.asked_for(text) for text in ("without", "with one")] == [[1, 0], [1, 0]]


@both_lanes
def test_off_by_default(caller: Caller, pair: tuple[Simulator, Simulator]) -> None:
    """Without the setting, a late first token is waited for."""
    home, other = home_of(pair, caller)
    plain = Pair((home, other), caller.kind, hedge=None)
    plain.run(lambda: home.pace(first_token_delay=0.5), "late")
    assert plain.asked_for("late") == [1, 0]


def test_a_caller_who_leaves(pair: tuple[Simulator, Simulator]) -> None:
    """A caller who cancels while both are silent ends the work of both."""

    async def run() -> None:
        async with AsyncOpenAI(base_url=[server.url for server in pair], hedge=True, model=MODEL) as client:
            for number in range(ENOUGH):
                await Pair._atold(client, f"warm {number}")
            for server in pair:
                server.pace(first_token_delay=SLOW)
            call = asyncio.create_task(client.chat.completions.create(**asked("late")))
            await asyncio.to_thread(wait_until, lambda: asked_of("late") == 2)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(wait_until, lambda: [server.aborted for server in pair] == [1, 1])
            assert [replica.in_flight for replica in client.server.replicas()] == [0, 0]

    def asked_of(text: str) -> int:
        return sum(Pair(pair, "asyncio").asked_for(text))

    asyncio.run(run())


def wait_until(is_so: Any) -> None:
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
