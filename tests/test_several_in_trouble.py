"""Several replicas in the middle of trouble: what is counted, what is waited for, what a caller's odd way leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from vllm_connect import AsyncOpenAI, InvalidAnswer, OpenAI, ServerUnreachable
from vllm_connect.simulator import Simulator

MODEL = "qwen"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]


@pytest.fixture
def pair() -> Iterator[tuple[Simulator, Simulator]]:
    with Simulator(models=(MODEL,)) as first, Simulator(models=(MODEL,)) as second:
        yield first, second


def chat(client: Any, text: str = "Say something.", **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4, **options)


def asked(simulator: Simulator) -> int:
    return sum(request.path.endswith("/chat/completions") for request in simulator.requests)


def addresses(*simulators: Simulator) -> list[str]:
    return [simulator.url for simulator in simulators]


# -- what a call meets


@every_kind
def test_poison_on_kept_connections(caller: Caller) -> None:
    """A server that ends by a request, on a connection that was kept, has seen it: it meets two servers, and no more."""
    with Simulator(models=(MODEL,)) as a, Simulator(models=(MODEL,)) as b, Simulator(models=(MODEL,)) as c:

        def end() -> None:
            for simulator in (a, b, c):
                simulator.faults.turn_on("refused")
                simulator.faults.turn_on("close-unanswered", path="/v1/chat/*")

        def twice(client: Any) -> Any:
            chat(client)
            end()
            return chat(client)

        async def twice_in_turn(client: Any) -> Any:
            await chat(client)
            end()
            return await chat(client)

        with pytest.raises(ServerUnreachable) as caught:
            caller.run(
                twice if caller.kind == "blocking" else twice_in_turn,
                base_url=addresses(a, b, c),
                max_retries=5,
            )
        # One of them answered before.
        assert asked(a) + asked(b) + asked(c) == 3
    assert caught.value.outcome == "UNKNOWN"


@every_kind
def test_silent_about_its_models(caller: Caller, pair: Any) -> None:
    """A replica that does not say what it serves takes a call no more than a quarter of its time."""
    first, second = pair
    second.faults.turn_on("no-answer", path="/v1/models")
    started = time.monotonic()
    assert caller.run(chat, base_url=addresses(first, second), timeout=4)
    assert time.monotonic() - started < 2.5


@every_kind
def test_key_that_cannot_be_loaded(caller: Caller, pair: Any) -> None:
    """What the caller's own function for a key raises is raised as it is, as with one server."""

    def key() -> str:
        raise LookupError("the vault is shut")

    async def key_in_turn() -> str:
        return key()

    with pytest.raises(LookupError, match="vault"):
        caller.run(
            chat,
            base_url=addresses(*pair),
            api_key=key if caller.kind == "blocking" else key_in_turn,
        )


def test_contexts_that_agree_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica is asked again as soon as the other, whose longer context was the reason against it, has the same."""
    replica_set = importlib.import_module("vllm_connect.dispatch.replica_set")
    monkeypatch.setattr(replica_set, "BETWEEN_SURVEYS", 0.0)
    with (
        Simulator(models=(MODEL,), max_model_len=1024) as short,
        Simulator(models=(MODEL,), max_model_len=4096) as longer,
        OpenAI(base_url=addresses(short, longer)) as client,
    ):
        chat(client)
        assert "its context is 1024" in client.server.replicas()[0].reason
        longer.stop()
        with contextlib.suppress(openai.APIError):
            chat(client)
        with Simulator(models=(MODEL,), max_model_len=1024, port=longer.port):
            until = time.monotonic() + 10
            while "context" in client.server.replicas()[0].reason and time.monotonic() < until:
                chat(client)
            reasons = [state.reason for state in client.server.replicas()]
    assert not any("context" in reason for reason in reasons)


@pytest.mark.parametrize("wire", ["own", "sdk"])
def test_always_failing(pair: Any, wire: Any) -> None:
    """A replica that answers every call by 500 goes to rest: the beginning of an error says nothing good of it."""
    first, second = pair
    second.faults.turn_on("internal-error", path="/v1/chat/*")
    with OpenAI(base_url=addresses(first, second), wire=wire) as client:
        for number in range(30):
            assert chat(client, f"Prompt {number}")
        assert client.server.replicas()[1].state == "resting"


def test_too_few_at_another_replica(pair: Any) -> None:
    """What was asked for is known at every replica, and stands in the request that an error shows."""
    for simulator in pair:
        simulator.faults.turn_on("choices-too-few")
    with OpenAI(base_url=addresses(*pair), wire="sdk", max_retries=0) as client:
        for number in range(6):
            with pytest.raises(InvalidAnswer) as caught:
                chat(client, f"Prompt {number}", n=2)
            assert b'"n":2' in caught.value.response.request.content
    assert all(asked(simulator) for simulator in pair)


def test_key_of_openai_stays(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of vLLM servers in the place of OpenAI's gets none of the key that was for OpenAI."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-canary")
    with OpenAI(base_url=["https://api.openai.com/v1", "https://eu.api.openai.com/v1"]) as client:
        client.base_url = addresses(*pair)
        chat(client)
    headers = [request.headers for simulator in pair for request in simulator.requests]
    assert headers
    assert not any("canary" in str(one) for one in headers)


def test_change_of_address_between_attempts() -> None:
    """A call that is tried again goes where it began, with its key, though its client was given another address."""
    with Simulator(models=(MODEL,), api_key="key-of-old") as old, Simulator(models=(MODEL,)) as new:
        with OpenAI(base_url=old.url, api_key="key-of-old") as client:
            chat(client)
            old.faults.turn_on("too-many-requests", path="/v1/chat/*", times=1)
            under_way = threading.Thread(target=chat, args=(client,))
            under_way.start()
            while asked(old) < 2:
                time.sleep(0.01)
            client.api_key, client.base_url = "key-of-new", new.url
            chat(client)
            under_way.join()
        assert (asked(old), asked(new)) == (3, 1)


# -- what is left behind


def unread(client: Any) -> Any:
    return chat(client, stream=True)


def raw(client: Any) -> Any:
    return client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, stream=True)


def of_responses(client: Any) -> Any:
    return client.responses.create(model=MODEL, input="Say something.", stream=True)


@pytest.mark.parametrize("way", [unread, raw, of_responses])
@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_dropped_unread(way: Callable[[Any], Any], wire: Any, kind: str, pair: Any) -> None:
    """An answer that nobody reads and nobody closes is not in flight for ever."""

    async def in_turn() -> list[int]:
        async with AsyncOpenAI(base_url=addresses(*pair), wire=wire) as client:
            await way(client)
            gc.collect()
            return [state.in_flight for state in client.server.replicas()]

    if kind == "asyncio":
        assert asyncio.run(in_turn()) == [0, 0]
        return
    with OpenAI(base_url=addresses(*pair), wire=wire) as client:
        way(client)
        gc.collect()
        assert [state.in_flight for state in client.server.replicas()] == [0, 0]


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_closed_by_another(kind: str) -> None:
    """A stream that is closed while another thread or task waits for its next chunk ends there, for the server too."""
    with Simulator(models=(MODEL,), first_token_delay=30.0) as server:
        started = time.monotonic()
        if kind == "blocking":
            _closed_by_thread(server)
        else:
            asyncio.run(_closed_by_task(server))
        assert time.monotonic() - started < 4
        assert asked(server) == 1
        assert server.aborted


def _closed_by_thread(server: Simulator) -> None:
    with OpenAI(base_url=server.url) as client:
        under_way = chat(client, stream=True)
        came: list[Any] = []
        reader = threading.Thread(target=lambda: came.append(list(under_way)), daemon=True)
        reader.start()
        time.sleep(0.2)
        under_way.close()
        reader.join(3)
        assert came == [[]]
        time.sleep(0.2)


async def _closed_by_task(server: Simulator) -> None:
    async with AsyncOpenAI(base_url=server.url) as client:
        under_way = await chat(client, stream=True)

        async def read() -> list[Any]:
            return [chunk async for chunk in under_way]

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await under_way.close()
        assert await asyncio.wait_for(reader, 3) == []
        await asyncio.sleep(0.2)


FORKED = """
import os, signal, sys, threading
from vllm_connect import OpenAI
client = OpenAI(base_url=sys.argv[1:])
chat = dict(model="qwen", messages=[{"role": "user", "content": "Hello"}])
under_way = client.chat.completions.create(**chat, stream=True)
is_held, may_go = threading.Event(), threading.Event()
def hold():
    with client._replicas.group._lock:
        is_held.set()
        may_go.wait()
threading.Thread(target=hold).start()
is_held.wait()
child = os.fork()
if child == 0:
    signal.alarm(5)
    in_flight = [state.in_flight for state in client.server.replicas()]
    client.chat.completions.create(**chat)
    os._exit(sum(in_flight))
_, status = os.waitpid(child, 0)
may_go.set()
print(status, sum(state.in_flight for state in client.server.replicas()), len(list(under_way)) > 1)
"""


def test_fork(pair: Any) -> None:
    """A forked process counts anew, whatever another thread of its parent was doing; the parent goes on."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, *addresses(*pair)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert (ran.stdout.split(), ran.stderr) == (["0", "1", "True"], "")


@every_kind
def test_question_within_the_time_of_its_call(caller: Caller) -> None:
    """Which kind of server it is, asked on the way where that decides, is not waited for beyond the call's own time."""
    with Simulator(models=(MODEL,)) as server:
        server.faults.turn_on("finish-null")
        server.faults.turn_on("no-answer", path="/v1/models")
        started = time.monotonic()
        with pytest.raises(openai.APIConnectionError):
            caller.run(chat, base_url=server.url, timeout=1.0, max_retries=0)
        assert time.monotonic() - started < 2.5
