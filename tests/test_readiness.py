"""Waiting for a server that is still loading: it refuses connections, then it is there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from vllm_connect import NotReady, Timeouts
from vllm_connect.discovery import Ready, Waiting
from vllm_connect.simulator import Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Say something."}]


@pytest.fixture
def loading() -> Iterator[Simulator]:
    """A server that refuses connections for a while, as vLLM does until it has loaded its model."""
    with Simulator(loading=0.6) as server:
        yield server


@pytest.fixture
def unstarted() -> Iterator[Simulator]:
    """A server at a known port that refuses connections until it is started."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    server = Simulator(port=port)
    yield server
    server.stop()


@every_kind
def test_wait(caller: Caller, unstarted: Simulator) -> None:
    """Waiting ends when the server is ready, after events that say how long it took and what it answered."""
    events: list[Any] = []

    def report(event: Any) -> None:
        events.append(event)
        unstarted.start()  # once it has been seen to refuse; a second start does nothing

    caller.run(lambda client: client.wait_until_ready(10, report=report), base_url=unstarted.url)
    assert isinstance(events[-1], Ready)
    assert events[:-1]
    assert all(isinstance(event, Waiting) and event.answer == "connection refused" for event in events[:-1])
    assert [event.elapsed for event in events] == sorted(event.elapsed for event in events)


@every_kind
def test_never_ready(caller: Caller) -> None:
    """A server that does not become ready ends in NotReady, which openai's timeout class catches, at the time given."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(NotReady, match=r"not ready within 0.5 s; last: connection refused") as caught:
        caller.run(lambda client: client.wait_until_ready(0.5), base_url=f"127.0.0.1:{port}")
    assert isinstance(caught.value, openai.APITimeoutError)
    assert 0.4 < time.monotonic() - started < 1.5


@every_kind
def test_gateway(caller: Caller, server: Simulator) -> None:
    """A gateway's 503 means not yet; one that hides /health leaves the word to the models."""
    server.reply_next(Reply(503), Reply(404))
    events: list[Any] = []
    caller.run(
        lambda client: client.wait_until_ready(5, report=events.append),
        base_url=server.url,
        api_key="simulator-key",
    )
    assert [getattr(event, "answer", "ready") for event in events] == ["HTTP status 503", "ready"]


@every_kind
def test_what_waiting_does_not_mend(caller: Caller, server: Simulator) -> None:
    """A wrong key ends the waiting at once, with the error it is."""
    started = time.monotonic()
    with pytest.raises(openai.AuthenticationError, match="refused the API key"):
        caller.run(lambda client: client.wait_until_ready(20), base_url=server.url, api_key="wrong")
    assert time.monotonic() - started < 3


@every_kind
def test_call_that_waits(caller: Caller, loading: Simulator) -> None:
    """With Timeouts(ready=...) a call itself waits for a loading server; without it fails soon."""
    answer = caller.run(
        lambda client: client.chat.completions.create(model="sim-model", messages=MESSAGES),
        base_url=loading.url,
        timeouts=Timeouts(ready=10),
        max_retries=0,
    )
    assert answer.choices[0].message.content


@every_kind
def test_call_without_model_that_waits(caller: Caller, loading: Simulator) -> None:
    """Waiting holds for the question which model is served, too."""
    answer = caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES),
        base_url=loading.url,
        timeouts=Timeouts(ready=10),
        max_retries=0,
    )
    assert answer.choices[0].message.content


@every_kind
def test_deaf_server(caller: Caller, server: Simulator) -> None:
    """A server that accepts and never answers does not hold up the waiting beyond its time."""
    server.reply_next(*[Reply(delay=30)] * 3)
    started = time.monotonic()
    with pytest.raises(NotReady, match="no answer"):
        caller.run(lambda client: client.wait_until_ready(0.5), base_url=server.url, api_key="simulator-key")
    assert time.monotonic() - started < 2


@every_kind
def test_tls_to_a_plain_server(caller: Caller, server: Simulator) -> None:
    """Https to a server without TLS is told at once, with what to write."""
    with pytest.raises(openai.APIConnectionError, match="write http:// in place of https://"):
        caller.run(lambda client: client.wait_until_ready(20), base_url=server.url.replace("http:", "https:"))
