"""A server that went silent is asked on the side whether it lives: one that is gone ends the wait, one that works does not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import MODEL, SHELLS, Run, plain, stream
from vllm_connect import ServerUnreachable, Timeouts, Tls
from vllm_connect.endpoint import parse_endpoint
from vllm_connect.settings import Limits, Timers
from vllm_connect.simulator import Simulator
from vllm_connect.wire.answer import Answer
from vllm_connect.wire.asynchronous import AsyncWire
from vllm_connect.wire.blocking import BlockingWire
from vllm_connect.wire.exchange import Wanted
from vllm_connect.wire.failures import ServerGone, TimerExpired
from vllm_connect.wire.pulse import Finding, Pulse, dies
from vllm_connect.wire.request import Head, Outgoing
from vllm_connect.wire.route import Route, route_to

every_shell = pytest.mark.parametrize("shell", SHELLS)

PATIENCE = 0.3
# What a busy machine adds.
LATE = 1.5
NO_TIMERS = Timers(connect=None, first_token=None, between_tokens=None, total=None)


class Ask(NamedTuple):
    """One call: the fault it is met by, and how its answer is wanted."""

    fault: str = ""
    wanted: Wanted = "whole"


class Heard(NamedTuple):
    """What came of one call: its answer or failure, the payloads of its stream, and its time."""

    answer: Answer | None
    failure: BaseException | None
    payloads: int
    seconds: float


def outgoing(ask: Ask) -> Outgoing:
    body = b'{"model":"%b","prompt":"Once","max_tokens":24,"stream":%b}' % (
        MODEL.encode(),
        b"true" if ask.wanted == "events" else b"false",
    )
    headers = [(b"host", b"x"), (b"content-length", b"%d" % len(body)), (b"authorization", b"KEY")]
    headers.append((b"content-type", b"application/json"))
    if ask.fault:
        headers.append((b"x-simulator-fault", ask.fault.encode()))
    head = Head("POST", b"/v1/completions", headers, key_mark=b"KEY")
    return Outgoing(head, "canary", 0, body)


class Caller:
    """Calls over one wire: `first` alone, then `at_once` all together, each until its end."""

    def __init__(self, shell: str, route: Route, *, alternative: bool = False, **options: Any) -> None:
        self._shell = shell
        self._route = route
        self._alternative = alternative
        self._options = {"patience": PATIENCE, **options}

    def __call__(
        self, *at_once: Ask, seconds: float = 20, first: Ask | None = None, then: Callable[[], Any] = int
    ) -> list[Heard]:
        """`seconds` is the deadline of each; `then` is called between `first` and the others."""
        limits = self._options.pop("limits", Limits())
        run = self._run if self._shell == "blocking" else self._in_a_loop
        return run(limits, at_once, seconds, first, then)

    def _run(self, limits: Limits, at_once: Any, seconds: float, first: Any, then: Any) -> list[Heard]:
        wire = BlockingWire(self._route, limits, lambda _: None, **self._options)
        wire.has_alternative = lambda: self._alternative
        if first is not None:
            assert self._heard(wire, first, seconds).failure is None
        then()
        with ThreadPoolExecutor(len(at_once)) as pool:
            heard = list(pool.map(lambda ask: self._heard(wire, ask, seconds), at_once))
        wire.close()
        return heard

    def _heard(self, wire: BlockingWire, ask: Ask, seconds: float) -> Heard:
        began, payloads, answer, failure = time.monotonic(), 0, None, None
        try:
            exchange = wire.send(outgoing(ask), NO_TIMERS, began + seconds, ask.wanted)
            answer = good(exchange.answer)
            while exchange.is_stream and exchange.more():
                payloads += len(exchange.unread)
                exchange.unread.clear()
        except Exception as error:  # noqa: BLE001 - which one is what the tests ask
            failure = error
        return Heard(answer, failure, payloads, time.monotonic() - began)

    def _in_a_loop(self, *call: Any) -> list[Heard]:
        return asyncio.run(self._arun(*call))

    async def _arun(self, limits: Limits, at_once: Any, seconds: float, first: Any, then: Any) -> list[Heard]:
        wire = AsyncWire(self._route, limits, lambda _: None, **self._options)
        wire.has_alternative = lambda: self._alternative
        if first is not None:
            assert (await self._aheard(wire, first, seconds)).failure is None
        await asyncio.to_thread(then)
        heard = await asyncio.gather(*(self._aheard(wire, ask, seconds) for ask in at_once))
        await wire.aclose()
        return heard

    async def _aheard(self, wire: AsyncWire, ask: Ask, seconds: float) -> Heard:
        began, payloads, answer, failure = time.monotonic(), 0, None, None
        try:
            exchange = await wire.send(outgoing(ask), NO_TIMERS, began + seconds, ask.wanted)
            answer = good(exchange.answer)
            while exchange.is_stream and await exchange.more():
                payloads += len(exchange.unread)
                exchange.unread.clear()
        except Exception as error:  # noqa: BLE001 - as above
            failure = error
        return Heard(answer, failure, payloads, time.monotonic() - began)


def good(answer: Answer | None) -> Answer:
    assert answer is not None
    assert answer.status == 200, answer.body
    return answer


def way_to(url: str, tls: Tls | None = None) -> Route:
    return route_to(parse_endpoint(url), tls, {})


@pytest.fixture
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,), own_process=True) as simulator:
        yield simulator


def health(server: Simulator) -> list[Any]:
    """The questions that the server was asked on the side."""
    return [request for request in server.requests if request.path == "/health"]


# -- a server that is gone

SILENT = (Ask("no-answer"), Ask("no-answer", "events"), Ask("stall; after_events=3", "events"))


@every_shell
def test_gone(shell: str, server: Simulator) -> None:
    """When nobody listens any more, whatever waits ends, plain calls and streams, with what had come till then."""
    call = Caller(shell, way_to(server.url))
    heard = call(*SILENT, first=Ask(), then=lambda: refuse_soon(server))
    for one in heard:
        assert isinstance(one.failure, ServerGone)
        assert "refuses new connections" in str(one.failure)
        assert one.seconds < 2 * PATIENCE + LATE
    assert [one.payloads for one in heard] == [0, 0, 3]


def refuse_soon(server: Simulator) -> None:
    """Have the server refuse once the calls have begun, which keeps what is open."""
    threading.Timer(PATIENCE * 0.7, lambda: server.faults.turn_on("refused")).start()


@every_shell
@pytest.mark.parametrize("way", ["unix socket", "tls"])
def test_gone_on_other_ways(way: str, shell: str, tmp_path: Path) -> None:
    """The question goes the way of the calls."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    issued.write_to_path(tmp_path / "server.pem")
    options: Any = {
        "unix socket": {"uds": str(tmp_path / "s.sock")},
        "tls": {"ssl_certfile": str(tmp_path / "server.pem")},
    }[way]
    with Simulator(models=(MODEL,), own_process=True, **options) as server:
        call = Caller(shell, way_to(server.url, Tls(ca=str(tmp_path / "ca.pem"))))
        (alive,) = call(Ask("no-answer"), seconds=3 * PATIENCE)
        asked = len(health(server))
        (gone,) = call(Ask("no-answer"), first=Ask(), then=lambda: refuse_soon(server))
    assert isinstance(alive.failure, TimerExpired)
    assert asked >= 1
    assert isinstance(gone.failure, ServerGone)


@every_shell
def test_engine_dead(shell: str) -> None:
    """The 503 of a dead engine ends the wait as a refusal does."""
    with Answering(b"server: uvicorn", health=b"503 Service Unavailable") as server:
        (heard,) = Caller(shell, way_to(server.url))(Ask(), first=Ask())
    assert isinstance(heard.failure, ServerGone)
    assert "engine is dead" in str(heard.failure)


def test_public() -> None:
    """A caller is told after some five seconds, though its deadline is a minute away, and what was met."""
    with Simulator(models=(MODEL,), own_process=True) as server:

        def ask(case: tuple[str, Any]) -> Any:
            shell, way = case
            run = Run(server, shell, max_retries=0, timeouts=Timeouts(total=60), long_calls="plain")
            return run((plain, ""), (way, "no-answer"))[1]

        cases = [(shell, way) for shell in SHELLS for way in (plain, stream)]
        threading.Timer(2, lambda: server.faults.turn_on("refused")).start()
        with ThreadPoolExecutor(len(cases)) as pool:
            outcomes = list(pool.map(ask, cases))
    for outcome in outcomes:
        assert isinstance(outcome.error, ServerUnreachable)
        assert "it went silent, and now refuses new connections" in str(outcome.error)
        assert 4.9 < outcome.seconds < 5.2 + LATE


# -- a server that works


@every_shell
def test_alive(shell: str) -> None:
    """A server that thinks for long is waited for; what asks it is one request per interval, without a key."""
    with Simulator(models=(MODEL,), own_process=True, first_token_delay=5 * PATIENCE) as server:
        heard = Caller(shell, way_to(server.url))(Ask(), Ask(wanted="events"))
        asked = health(server)
    assert [one.failure for one in heard] == [None, None]
    assert heard[1].payloads > 12
    assert 2 <= len(asked) <= 5
    assert {request.header("authorization") for request in asked} == {None}


@every_shell
def test_many_silent_calls(shell: str, server: Simulator) -> None:
    """However many calls are silent, and no place for a connection left, a server is asked once per interval."""
    calls = 100
    call = Caller(shell, way_to(server.url), limits=Limits(connections=calls), patience=2 * PATIENCE)
    heard = call(*[Ask("no-answer")] * calls, seconds=10 * PATIENCE)
    assert all(isinstance(one.failure, TimerExpired) for one in heard)
    assert max(one.seconds for one in heard) < 10 * PATIENCE + LATE
    assert 3 <= len(health(server)) <= 5


@every_shell
def test_flowing_tokens(shell: str) -> None:
    """A stream whose tokens come is left alone, though another call finds that nobody listens any more."""
    with Simulator(models=(MODEL,), own_process=True, token_delay=0.04) as server:
        flowing = Ask("slow; factor=1; least=0.08", "events")
        heard = Caller(shell, way_to(server.url), patience=1)(
            flowing, Ask("no-answer"), first=Ask(), then=lambda: refuse_soon(server)
        )
    assert heard[0].failure is None
    assert heard[0].seconds > heard[1].seconds
    assert isinstance(heard[1].failure, ServerGone)


# -- who may be taken at its word


class Answering:
    """A server that answers its first call with these headers, then takes one that it answers late; deaf meanwhile.

    `health` is the status that it answers other connections with; without one, it listens no more.
    """

    def __init__(self, headers: bytes, *, health: bytes = b"", knows: bool = True) -> None:
        self._head = headers
        self._health = health
        self._knows = knows
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        accepted, _ = self._listener.accept()
        with accepted, contextlib.suppress(OSError):
            if self._knows:
                self._answer(accepted)
            accepted.recv(65536)
            if self._health:
                other, _ = self._listener.accept()
                with other:
                    other.recv(65536)
                    other.sendall(self._bytes(self._health, b""))
            else:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
            time.sleep(5 * PATIENCE)
            accepted.sendall(self._bytes(b"200 OK", b"{}"))

    def _answer(self, accepted: socket.socket) -> None:
        accepted.recv(65536)
        accepted.sendall(self._bytes(b"200 OK", b"{}"))

    def _bytes(self, status: bytes, body: bytes) -> bytes:
        return b"HTTP/1.1 %b\r\n%b\r\ncontent-length: %d\r\n\r\n%b" % (status, self._head, len(body), body)


GATEWAYS = {
    "a name of its own": b"server: nginx",
    "no name": b"x: y",
    "a server on the way": b"server: uvicorn\r\nvia: 1.1 proxy",
    "two servers": b"server: uvicorn\r\nserver: uvicorn",
    "litellm": b"server: uvicorn\r\nx-litellm-version: 1.80",
}


@every_shell
def test_gateway(shell: str) -> None:
    """Behind a gateway a refusal means nothing: what is under way is waited for, and comes."""

    def ask(headers: bytes) -> Heard:
        with Answering(headers) as server:
            (heard,) = Caller(shell, way_to(server.url))(Ask(), first=Ask())
        return heard

    with ThreadPoolExecutor(len(GATEWAYS)) as pool:
        heard = dict(zip(GATEWAYS, pool.map(ask, GATEWAYS.values()), strict=True))
    assert {name: one.failure for name, one in heard.items()} == dict.fromkeys(GATEWAYS)
    assert min(one.seconds for one in heard.values()) >= 4 * PATIENCE


@every_shell
def test_proxy(shell: str) -> None:
    """Nor through a proxy, whose own refusal it is."""
    with Answering(b"server: uvicorn") as proxy:
        route = route_to(
            parse_endpoint("http://gpu1.test:8000"), None, {"HTTP_PROXY": proxy.url.removesuffix("/v1")}
        )
        (heard,) = Caller(shell, route)(Ask(), first=Ask())
    assert route.proxy is not None
    assert heard.failure is None


@every_shell
def test_not_known_yet(shell: str) -> None:
    """Nor does a refusal mean anything before an answer has told who is asked."""
    with Answering(b"server: uvicorn", knows=False) as server:
        (heard,) = Caller(shell, way_to(server.url))(Ask())
    assert heard.failure is None


# -- a server that does not answer


@every_shell
def test_unanswered(shell: str, server: Simulator) -> None:
    """Two questions without an answer end the wait where another server can do the work, and only there."""
    silent = Caller(shell, way_to(server.url), alternative=True)(Ask(), first=Ask(), then=server.pause)[0]
    server.resume()
    assert isinstance(silent.failure, ServerGone)
    assert "two questions" in str(silent.failure)
    assert 3 * PATIENCE - 0.1 < silent.seconds < 3.3 * PATIENCE + LATE

    def pause() -> None:
        server.pause()
        threading.Timer(5 * PATIENCE, server.resume).start()

    (alone,) = Caller(shell, way_to(server.url))(Ask(), first=Ask(), then=pause)
    assert alone.failure is None
    assert alone.seconds >= 4 * PATIENCE


@every_shell
def test_deadline(shell: str, server: Simulator) -> None:
    """A question that is not answered lengthens no deadline, and an answer is heard while it is under way."""
    (late,) = Caller(shell, way_to(server.url), patience=1)(
        Ask(), seconds=1.5, first=Ask(), then=server.pause
    )
    server.resume()
    assert isinstance(late.failure, TimerExpired)
    assert 1.5 <= late.seconds < 1.5 + 0.5


# -- what it leaves behind


def test_nothing_left_on_asyncio(server: Simulator) -> None:
    """A client that is closed or dropped, or whose loop ends, while a question is under way leaves no task of it."""
    complaints: list[Any] = []

    async def use(end: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        wire = AsyncWire(way_to(server.url), Limits(), lambda _: None, patience=2 * PATIENCE)
        call = asyncio.create_task(wire.send(outgoing(Ask()), NO_TIMERS, time.monotonic() + 20, "whole"))
        await asyncio.sleep(2 * PATIENCE + 0.2)
        assert len(asyncio.all_tasks()) == 3
        if end == "its loop ends":
            return
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if end == "closed":
            await wire.aclose()
        del wire, call
        gc.collect()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    server.pause()
    for end in ("closed", "dropped", "its loop ends"):
        asyncio.run(use(end))
    server.resume()
    gc.collect()
    assert not complaints


# -- the decisions

# What is met, one question after the other (all at their times), on a server that is reached directly with another
# at hand -> whether an exchange that has been silent from the start is given up after each.
COURSES: tuple[tuple[tuple[Finding, ...], tuple[bool, ...]], ...] = (
    (("alive", "alive"), (False, False)),
    (("alive", "refused"), (False, True)),
    (("dead",), (True,)),
    (("nothing", "nothing", "nothing"), (False, False, False)),
    (("unanswered", "unanswered"), (False, True)),
    (("unanswered", "nothing", "unanswered"), (False, False, False)),
    (("unanswered", "alive", "unanswered", "unanswered"), (False, False, False, True)),
)


@pytest.mark.parametrize(("found", "gone"), COURSES)
def test_course(found: tuple[Finding, ...], gone: tuple[bool, ...]) -> None:
    """A refusal and a dead engine count at once, silence when it comes twice in a row."""
    pulse = Pulse(5, chance=lambda: 0.5)
    pulse.learn([(b"server", b"uvicorn")])
    pulse.has_alternative = lambda: True
    now = seen = 0.0
    for finding, is_gone in zip(found, gone, strict=True):
        now = pulse.next_look(0.0, now)
        assert pulse.ask(0.0, now)
        pulse.tell(now, finding)
        assert (pulse.gone_before >= 0.0) is is_gone
        # Who was heard just before, or since, is left alone.
        assert pulse.gone_before < now - 0.5
        assert now - seen >= 5
        seen = now


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0, 1, exclude_max=True))
def test_rate(steps: list[float], chance: float) -> None:
    """Whenever a silence of any length looks, questions are one at a time and never closer than their interval."""
    pulse = Pulse(5, chance=lambda: chance)
    now, asked = 0.0, []
    for step in steps:
        now += step
        if pulse.ask(0.0, now):
            asked.append(now)
            assert not pulse.ask(0.0, now)
            pulse.tell(now, "alive")
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(asked))
    assert not asked or asked[0] >= 5


def test_late_word() -> None:
    """A question that was given up, as its loop ended, blocks no other for long; its late answer changes nothing."""
    pulse = Pulse(5)
    pulse.learn([(b"server", b"uvicorn")])
    assert pulse.ask(0.0, 5.0)
    assert not pulse.ask(0.0, 11.0)
    assert pulse.ask(0.0, 15.0)
    pulse.tell(5.0, "refused")
    assert pulse.gone_before < 0
    pulse.tell(15.0, "refused")
    assert pulse.gone_before == 14.0


@pytest.mark.parametrize(("status", "length"), [(503, b"52"), (500, b"0"), (200, b"0")])
def test_dies(status: int, length: bytes) -> None:
    """Of vLLM's 503s the empty one means a dead engine; one with a body a server that is being scaled."""
    assert dies(503, {b"content-length": b"0"})
    assert not dies(status, {b"content-length": length})
