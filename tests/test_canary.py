"""A canary in place of the key: wherever a program or a person looks, it is not there."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest

from tests.callers import Caller, every_kind
from tests.commands import COMMAND, run
from vllm_connect import AsyncOpenAI, OpenAI, Settings
from vllm_connect.simulator import Cut, Drop, Reply, Simulator

CANARY = "canary-key-0123456789"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]


@pytest.fixture
def guarded() -> Iterator[Simulator]:
    """A stand-in server that wants the canary."""
    with Simulator(models=("m",), api_key=CANARY) as server:
        yield server


def walked(value: Any, depth: int = 6, seen: set[int] | None = None) -> Iterator[str]:
    """Yield the repr of a value and of everything reachable through its attributes and items."""
    seen = set() if seen is None else seen
    if id(value) in seen or depth == 0 or isinstance(value, type):
        return
    seen.add(id(value))
    yield repr(value)
    inside = list(vars(value).values()) if hasattr(value, "__dict__") else []
    if isinstance(value, dict):
        inside += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set):
        inside += list(value)
    for one in inside:
        yield from walked(one, depth - 1, seen)


@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_client_shows_no_key(kind: type[Any], guarded: Simulator) -> None:
    """repr, str, format and everything reachable by vars of a client, its copies and its settings is free of the key."""
    client = kind(base_url=guarded.url, api_key=CANARY)
    if kind is OpenAI:
        client.models.list()
    shown = (
        "".join(walked(client))
        + "".join(walked(client.copy(timeout=1)))
        + f"{client}{client!r}{client.settings}"
    )
    assert CANARY not in shown
    assert client.api_key == CANARY
    if kind is OpenAI:
        client.close()
    else:
        anyio.run(client.close)


FAILURES: dict[str, Reply | Drop | Cut] = {
    "wrong key, echoed": Reply(
        401, {"content-type": "application/json"}, json.dumps({"error": f"bad {CANARY}"}).encode()
    ),
    "server error, echoed": Reply(500, {}, f"<html>{CANARY}".encode()),
    "redirect": Reply(307, {"location": "/v2"}, CANARY.encode()),
    "dropped": Drop(),
    "no HTTP": Cut(b"nonsense\r\n\r\n"),
    "cut": Cut(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"),
    "silent": Reply(delay=3),
    "no JSON": Reply(200, {"content-type": "application/json"}, b"{"),
}


@every_kind
@pytest.mark.parametrize("failure", FAILURES)
def test_errors_show_no_key(
    caller: Caller, guarded: Simulator, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No error, traceback with locals, pickle or log line at any level holds the key, echoed by the server or not."""
    caplog.set_level(logging.DEBUG)
    guarded.reply_next(FAILURES[failure])
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        caller.run(
            lambda client: client.chat.completions.create(model="m", messages=MESSAGES, timeout=0.5),
            base_url=guarded.url,
            api_key=CANARY,
            max_retries=0,
        )
    error = caught.value
    assert len(guarded.requests) == 1
    assert guarded.requests[0].header("authorization") == f"Bearer {CANARY}"
    assert CANARY not in "".join(_without_this_file(error))
    assert CANARY not in "".join(walked(error))
    assert CANARY.encode() not in _pickled(error)
    assert CANARY not in caplog.text
    if isinstance(error, openai.APIStatusError):
        assert CANARY not in f"{error.response.headers.raw}{error.response.text}"
        assert error.response.next_request is None
    if isinstance(error, openai.APIError):
        assert error.request.headers.get("authorization") == "Bearer ***"


@pytest.mark.parametrize("status", [307, 401])
def test_key_echoed_in_headers(guarded: Simulator, status: int) -> None:
    """A key that the server puts into headers of a refusal is masked in the error's response."""
    guarded.reply_next(Reply(status, {"location": f"/v2/{CANARY}", "x-echo": CANARY}))
    with (
        OpenAI(base_url=guarded.url, api_key=CANARY) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.models.list()
    response = caught.value.response
    assert response.headers["x-echo"] == "***"
    assert CANARY not in f"{caught.value}{response.headers.raw}{vars(caught.value)}"


def _without_this_file(error: BaseException) -> Iterator[str]:
    """Yield the traceback with the locals of every frame, but for those of the test itself."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    waiting: list[traceback.TracebackException | None] = [report]
    while waiting:
        one = waiting.pop()
        if one is None:
            continue
        waiting += [one.__cause__, one.__context__]
        yield str(one)
        for frame in one.stack:
            if "/tests/" not in frame.filename:
                yield f"{frame.filename}:{frame.lineno} {frame.locals}"


def _pickled(error: BaseException) -> bytes:
    try:
        return pickle.dumps(error)
    except (TypeError, AttributeError, pickle.PicklingError):
        return b""


def test_rejected_key_is_not_in_locals() -> None:
    """A key that is rejected is in no frame of ours either: tracebacks with locals are reported to third parties."""
    with pytest.raises(openai.OpenAIError) as caught:
        OpenAI(base_url="gpu1", api_key=f"{CANARY}\nX-Evil: 1")
    assert CANARY not in "".join(_without_this_file(caught.value))


def test_answers_show_no_key(guarded: Simulator) -> None:
    """Raw responses and streams show the request with the key masked."""
    client: Any
    with OpenAI(base_url=guarded.url, api_key=CANARY) as client:
        raw = client.chat.completions.with_raw_response.create(messages=MESSAGES)
        stream = client.chat.completions.create(messages=MESSAGES, stream=True)
        assert raw.http_request.headers["authorization"] == "Bearer ***"
        assert stream.response.request.headers["authorization"] == "Bearer ***"
        assert CANARY not in "".join(walked(stream))
        assert CANARY not in "".join(walked(raw))
        stream.close()


def test_settings_are_not_pickled_with_a_key() -> None:
    """Settings that hold a key refuse to be pickled rather than carry it."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Settings.load({"base_url": "gpu1"}, environ={"VLLM_API_KEY": CANARY}).key)


RIGHT_AND_WRONG = pytest.mark.parametrize("key", [CANARY, f"x{CANARY}"])


@pytest.mark.parametrize(
    "command", [["config"], ["config", "--json"], ["models"], ["wait", "--timeout", "1"]]
)
@RIGHT_AND_WRONG
def test_commands_show_no_key(guarded: Simulator, command: list[str], key: str) -> None:
    """No command prints the key, right or wrong."""
    ran = run(*command, VLLM_BASE_URL=guarded.url, VLLM_API_KEY=key)
    assert ran.stdout + ran.stderr
    assert CANARY not in ran.stdout + ran.stderr


@RIGHT_AND_WRONG
def test_a_process_shows_no_key(guarded: Simulator, key: str) -> None:
    """Nor does a command that runs as a process of its own, in what it prints or on its command line."""
    with subprocess.Popen(
        [*COMMAND, "models"],
        env={**os.environ, "VLLM_BASE_URL": guarded.url, "VLLM_API_KEY": key},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        assert not cmdline.exists() or CANARY not in cmdline.read_text()
        output, _ = process.communicate(timeout=30)
    assert output
    assert CANARY not in output
