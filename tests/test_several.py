"""Several replicas behind one client: where a call goes, when it moves on, what is told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import openai
import pytest

from tests.callers import Caller, every_kind, sessions_until
from tests.commands import run
from vllm_connect import AsyncOpenAI, OpenAI, Settings, SettingsError
from vllm_connect.simulator import Simulator

MODEL = "qwen"
KEY = "several-replicas-key"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
GENERATING = ("/v1/chat/*", "/v1/responses")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def pair() -> Iterator[tuple[Simulator, Simulator]]:
    with Simulator(models=(MODEL,), api_key=KEY) as first, Simulator(models=(MODEL,), api_key=KEY) as second:
        yield first, second


def asked(simulator: Simulator, path: str = "/chat/completions") -> int:
    return sum(request.path.endswith(path) for request in simulator.requests)


def generated(simulator: Simulator) -> int:
    return asked(simulator) + asked(simulator, "/responses")


def plain(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=4, **options)


def stream(client: Any, **options: Any) -> Any:
    return plain(client, stream=True, **options)


def by_sdk(client: Any) -> Any:
    return client.responses.create(model=MODEL, input="Say something.", max_output_tokens=4)


def said(answer: Any) -> str:
    if isinstance(answer, list):
        return "".join(choice.delta.content or "" for chunk in answer for choice in chunk.choices)
    whole = answer.parse() if hasattr(answer, "parse") else answer
    return str(whole.choices[0].message.content)


WAYS = (plain, stream, by_sdk)


@every_kind
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fault",
    [
        "busy",
        "too-many-requests",
        "engine-dead",
        "internal-error",
        "bad-gateway",
        "close-unanswered",
        "reset-unanswered",
        "retry-after-huge",
        "not-http",
    ],
)
def test_moves_on(caller: Caller, way: Callable[[Any], Any], fault: str, pair: Any) -> None:
    """What one replica does not do, another does at once, and the caller does not notice."""
    one, other = pair
    for path in GENERATING:
        one.faults.turn_on(fault, path=path)
    started, calls = time.monotonic(), 0
    for session in sessions_until(lambda: generated(one)):
        assert caller.run(way, base_url=[one.url, other.url], api_key=KEY, default_headers=session)
        calls += 1
    one.faults.turn_on(fault)
    with contextlib.suppress(openai.APIError):  # of the survey; the fault may take the server out
        caller.run(lambda client: client.models.list(), base_url=one.url, api_key=KEY, max_retries=0)
    assert caller.run(way, base_url=[one.url, other.url], api_key=KEY)
    assert time.monotonic() - started < 5
    assert generated(other) == calls + 1


def raw(client: Any) -> Any:
    return client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=4)


@pytest.mark.parametrize(
    ("caller", "way"),
    [
        *((kind, way) for kind in ("blocking", "asyncio") for way in (plain, stream, raw, by_sdk)),
        *(("trio", way) for way in (plain, by_sdk)),
    ],
    indirect=["caller"],
)
def test_no_answer_is_asked_for_elsewhere(caller: Caller, way: Callable[[Any], Any], pair: Any) -> None:
    """A page in the place of an answer, which the same server would send again, is asked for once at another."""
    one, other = pair
    for path in GENERATING:
        one.faults.turn_on("html", path=path)
    calls = 0
    for session in sessions_until(lambda: generated(one)):
        assert caller.run(way, base_url=[one.url, other.url], api_key=KEY, default_headers=session)
        calls += 1
    assert (generated(one), generated(other)) == (1, calls)


def test_raw_response_that_is_no_answer(pair: Any) -> None:
    """Where no other replica helps, the response itself is given, and `parse` says what is wrong with it."""
    for simulator in pair:
        simulator.faults.turn_on("html", path="/v1/chat/*")
    with OpenAI(base_url=[one.url for one in pair], api_key=KEY) as client:
        response = raw(client)
        assert "<html" in response.text.lower()
        with pytest.raises(openai.APIResponseValidationError):
            response.parse()
    assert sum(asked(simulator) for simulator in pair) == 2


@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_away(caller: Caller, way: Callable[[Any], Any], pair: Any) -> None:
    """A replica that cannot be reached is passed over for free: also where no retry is allowed."""
    up, _ = pair
    assert caller.run(way, base_url=[NOBODY, "no-such-host.invalid", up.url], api_key=KEY, max_retries=0)


BROKEN_OFF: Any = [
    (raw, "finish-abort", {}),
    (plain, "finish-abort", {}),
    (plain, "finish-null", {}),
    (plain, "chunks-cut", {}),
    (stream, "aborted", {"after_events": 1}),
    (stream, "close-between-events", {"after_events": 1}),
    (stream, "cut", {"after_events": 1}),
    (stream, "reset", {"after_events": 1}),
    (stream, "engine-dead-within", {"after_events": 1}),
    (stream, "empty-stream", {}),
]


@pytest.mark.parametrize("caller", ["blocking", "asyncio"], indirect=True)
@pytest.mark.parametrize(("way", "fault", "options"), BROKEN_OFF)
def test_broken_off_before_a_token(
    caller: Caller, way: Callable[[Any], Any], fault: str, options: dict[str, Any], pair: Any
) -> None:
    """What a replica breaks off before its caller has a token of it comes from another, as if nothing had been."""
    one, other = pair
    honest = caller.run(way, base_url=other.url, api_key=KEY)
    one.faults.turn_on(fault, path="/v1/chat/*", **options)
    before, calls = asked(other), 0
    for session in sessions_until(lambda: asked(one)):
        met = caller.run(way, base_url=[one.url, other.url], api_key=KEY, default_headers=session)
        assert said(met) == said(honest)
        calls += 1
    assert (asked(one), asked(other) - before) == (1, calls)


@pytest.mark.parametrize("fault", ["gateway-timeout", "too-long", "unauthorized"])
def test_stays(fault: str, pair: Any) -> None:
    """What would be no better elsewhere, or may still be running, goes to one replica only."""
    for simulator in pair:
        simulator.faults.turn_on(fault, path="/v1/chat/*")
    addresses = [one.url for one in pair]
    with OpenAI(base_url=addresses, api_key=KEY) as client, pytest.raises(openai.APIStatusError):
        plain(client)
    assert sum(asked(simulator) for simulator in pair) == 1


def test_max_retries(pair: Any) -> None:
    """`max_retries` caps the replicas that a call is refused by."""
    for simulator in pair:
        simulator.faults.turn_on("busy", path="/v1/chat/*")
    for most in (0, 1):
        with OpenAI(base_url=[one.url for one in pair], api_key=KEY, max_retries=most) as client:
            before = sum(asked(simulator) for simulator in pair)
            with pytest.raises(openai.InternalServerError):
                plain(client)
        assert sum(asked(simulator) for simulator in pair) - before == 1 + most


@pytest.mark.parametrize("wire", ["own", "sdk"])
def test_replica_that_breaks_streams_off(wire: Any, pair: Any) -> None:
    """A replica whose streams end too early rests, over either wire; so the calls after that go to the other one."""
    one, other = pair
    one.faults.turn_on("aborted", after_events=2, path="/v1/chat/*")
    failed = 0
    with OpenAI(base_url=[one.url, other.url], api_key=KEY, wire=wire) as client:
        for number in range(20):
            try:
                list(stream(client, extra_headers={"X-Session-ID": str(number)}))
            except openai.APIError:
                failed += 1
        states = {state.name: state for state in client.server.replicas()}
    assert failed <= 2
    assert states[one.url].failed >= 1
    assert states[other.url].served >= 17


def test_budget(pair: Any) -> None:
    """When all replicas refuse, retries stay a tenth of the calls, with three a second and ten at once besides."""
    for simulator in pair:
        simulator.faults.turn_on("busy", path="/v1/chat/*")
    calls, started = 100, time.monotonic()
    with OpenAI(base_url=[one.url for one in pair], api_key=KEY, max_retries=1) as client:
        for _ in range(calls):
            with pytest.raises(openai.InternalServerError):
                plain(client)
    most = 1.1 * calls + 3 * (time.monotonic() - started) + 10
    assert calls < sum(asked(simulator) for simulator in pair) <= most


def test_poison() -> None:
    """A request that breaks each server it goes to meets two of them, and no more."""
    with Simulator(models=(MODEL,)) as a, Simulator(models=(MODEL,)) as b, Simulator(models=(MODEL,)) as c:
        for simulator in (a, b, c):
            simulator.faults.turn_on("reset-unanswered", path="/v1/chat/*")
        with (
            OpenAI(base_url=[a.url, b.url, c.url], max_retries=5) as client,
            pytest.raises(openai.APIConnectionError),
        ):
            plain(client)
        assert sum(asked(simulator) > 0 for simulator in (a, b, c)) == 2


@pytest.mark.parametrize("way", [plain, by_sdk])
def test_request_at_another_replica(way: Callable[[Any], Any], pair: Any) -> None:
    """At each replica a request has that one's host and base path, and the key; so has what is shown of it."""
    _, other = pair
    with Simulator(models=(MODEL,), api_key=KEY) as mounted:
        addresses = [NOBODY, f"127.0.0.1:{other.port}/v1", mounted.url]
        with OpenAI(base_url=addresses, api_key=KEY) as client:
            for gone in (other, mounted):
                way(client)
                client.base_url = [address for address in addresses if f":{gone.port}" not in address]
                way(client)
        for simulator in (other, mounted):
            for request in simulator.requests:
                assert request.header("host") == f"127.0.0.1:{simulator.port}"
                assert request.header("authorization") == f"Bearer {KEY}"


def test_raw_response_of_another_replica(pair: Any) -> None:
    """A raw response names the replica that answered, and counts the tries before."""
    up, _ = pair
    with OpenAI(base_url=[NOBODY, up.url], api_key=KEY) as client:
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
        assert str(raw.http_response.request.url) == f"{up.url}/chat/completions"
        assert raw.http_response.request.headers["host"] == f"127.0.0.1:{up.port}"
        assert raw.http_response.request.headers["authorization"] == "Bearer ***"


@every_kind
def test_all_away(caller: Caller) -> None:
    """Where no replica can be reached the error counts them, and comes in time."""
    started = time.monotonic()
    with pytest.raises(openai.APIConnectionError, match="at 2 replicas: connection refused") as caught:
        caller.run(plain, base_url=[NOBODY, "http://127.0.0.1:10"])
    assert time.monotonic() - started < 4
    assert caught.value.outcome == "NOT_SENT"  # type: ignore[attr-defined]


@every_kind
def test_another_model(caller: Caller) -> None:
    """A replica that serves another model, or the same with a shorter context, gets no request for it."""
    with (
        Simulator(models=(MODEL,), max_model_len=4096) as good,
        Simulator(models=("llama",)) as other,
        Simulator(models=(MODEL,), max_model_len=1024) as short,
    ):
        addresses = [good.url, other.url, short.url]
        for _ in range(3):
            assert caller.run(
                lambda client: client.chat.completions.create(messages=MESSAGES), base_url=addresses
            )
        assert caller.run(
            lambda client: client.chat.completions.create(model="llama", messages=MESSAGES),
            base_url=addresses,
        )
        assert (asked(good), asked(other), asked(short)) == (3, 1, 0)


def test_reasons_of_exclusion() -> None:
    """Why a replica is passed over is told by `client.server.replicas()`."""
    with (
        Simulator(models=(MODEL,)) as good,
        Simulator(models=("llama",)) as other,
        OpenAI(base_url=[good.url, other.url]) as client,
    ):
        plain(client)
        states = {state.name: state for state in client.server.replicas()}
    assert (states[good.url].state, states[good.url].served) == ("serving", 1)
    assert f"not asked for {MODEL}" in states[other.url].reason


def test_model_that_moved(pair: Any) -> None:
    """A replica that came back with another model is left for one that has the right one."""
    first, second = pair
    with OpenAI(base_url=[first.url, second.url], api_key=KEY) as client:
        first.faults.turn_on("no-such-model", path="/v1/chat/*")
        for _ in range(4):
            plain(client)
    assert asked(first) <= 1
    assert asked(second) == 4


def test_session(pair: Any) -> None:
    """Calls of one session go to one replica, also when the order of addresses is another; sessions spread."""
    addresses = [one.url for one in pair]
    homes = []
    for order in (addresses, addresses[::-1]):
        with OpenAI(base_url=order, api_key=KEY) as client:
            seen = []
            for session in range(12):
                counts = asked(pair[0])
                for _ in range(2):
                    plain(client, extra_headers={"X-Session-ID": f"session {session}"})
                seen.append(asked(pair[0]) - counts)
            assert set(seen) == {0, 2}
            homes.append(seen)
    assert homes[0] == homes[1]


def test_no_header_of_ours(pair: Any) -> None:
    """No request carries a session that its caller did not give."""
    with OpenAI(base_url=[one.url for one in pair], api_key=KEY) as client:
        for _ in range(4):
            plain(client)
    for simulator in pair:
        assert all(request.header("x-session-id") is None for request in simulator.requests)
        assert all(request.header("x-request-id") is None for request in simulator.requests)


def test_prompts_that_begin_alike(pair: Any) -> None:
    """Conversations that share a long beginning go to one replica, whose prefix cache then holds it."""
    system = "You are a careful assistant of the harbour office. " * 200
    with OpenAI(base_url=[one.url for one in pair], api_key=KEY) as client:
        for turn in range(6):
            messages: Any = [
                {"role": "system", "content": system},
                {"role": "user", "content": f"Turn {turn}"},
            ]
            client.chat.completions.create(model=MODEL, messages=messages, max_tokens=1)
    assert sorted(asked(simulator) for simulator in pair) == [0, 6]


def test_load_is_spread() -> None:
    """Calls at once that share a beginning spill over before one replica has more than its share."""
    with Simulator(models=(MODEL,), token_delay=0.3) as a, Simulator(models=(MODEL,), token_delay=0.3) as b:

        async def many() -> None:
            async with AsyncOpenAI(base_url=[a.url, b.url]) as client, anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(plain, client)

        anyio.run(many)
        assert asked(a) + asked(b) == 20
        assert max(asked(a), asked(b)) <= 14


def test_replicas_change_while_running(pair: Any) -> None:
    """A list in the place of a list changes the replicas: a stream under way goes on, new calls go to the new one."""
    first, second = pair
    with Simulator(models=(MODEL,), api_key=KEY) as third:
        with OpenAI(base_url=[first.url, second.url], api_key=KEY) as client:
            copy = client.with_options(max_retries=1)
            under_way = stream(client)
            next(under_way)
            client.base_url = [third.url, NOBODY]
            assert list(under_way)
            for one in (client, copy):
                plain(one)
        assert asked(third) == 2
        assert str(client.base_url) == f"{third.url}/"


def test_one_of_several(pair: Any) -> None:
    """What asks or changes one server wants to be told which; `info` tells of the first that answers."""
    first, second = pair
    with OpenAI(base_url=[NOBODY, first.url, second.url], api_key=KEY) as client:
        assert client.server.info().url == first.url
        with pytest.raises(
            SettingsError, match=r"one server, and this client has 3 replicas.*with_options\(base_url=\["
        ):
            client.server.sleep()
        assert client.with_options(base_url=second.url).server.health() is True
        assert client.server.tokenize("Hello").count > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["gpu1", "http://gpu1:8000/v1"], "twice"),
        ([], "empty list"),
        (["gpu1", "http://user:pass@gpu2"], "user information"),
    ],
)
def test_wrong_lists(given: list[str], said: str) -> None:
    """A wrong list is refused when the client is made, with the fix."""
    with pytest.raises(SettingsError, match=said):
        OpenAI(base_url=given)


def test_lists_from_elsewhere() -> None:
    """A variable names replicas with commas between, and its key goes to each of them, to none of another source."""
    environ = {"VLLM_BASE_URL": "gpu1, http://gpu2:8001", "VLLM_API_KEY": KEY}
    settings = Settings.load({}, environ=environ)
    assert [str(endpoint) for endpoint in settings.endpoints] == [
        "http://gpu1:8000/v1",
        "http://gpu2:8001/v1",
    ]
    assert settings.key is not None
    openai_key = {"OPENAI_BASE_URL": "https://api.openai.com/v1,http://gpu2", "OPENAI_API_KEY": "sk-proj-x"}
    assert Settings.load({}, environ=openai_key).key is None


def test_no_http_client() -> None:
    """A client of the caller's own may route by itself: with several replicas it is refused."""
    with openai.DefaultHttpxClient() as own, pytest.raises(SettingsError, match="http_client"):
        OpenAI(base_url=["gpu1", "gpu2"], http_client=own)


def test_info_command(pair: Any) -> None:
    """`vllm-connect info` shows each replica's state, and what keeps one from being asked."""
    first, _ = pair
    with Simulator(models=("llama",)) as other:
        told = run("info", f"{first.url},{other.url},{NOBODY}", VLLM_API_KEY=KEY)
    assert told.returncode == 0
    for part in (first.url, "serving", f"not asked for {MODEL}", "away", "connection refused"):
        assert part in told.stdout
