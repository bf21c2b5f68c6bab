"""The SDK's own path (trio, `wire="sdk"`, `responses`, a caller's own `post`) keeps what the lane promises."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.callers import Caller, every_kind, sessions_until
from vllm_connect import AnswerIncomplete, OpenAI
from vllm_connect.simulator import Simulator

MODEL = "qwen"
KEY = "key-of-the-sdk-path"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]


@pytest.fixture
def pair() -> Iterator[tuple[Simulator, Simulator]]:
    with Simulator(models=(MODEL,), api_key=KEY) as first, Simulator(models=(MODEL,), api_key=KEY) as second:
        yield first, second


def chat(client: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=6, stream=True)


def completion(client: Any) -> Any:
    return client.completions.create(model=MODEL, prompt="Say something.", max_tokens=6, stream=True)


def response(client: Any) -> Any:
    return client.responses.create(model=MODEL, input="Say something.", max_output_tokens=6, stream=True)


def posted(client: Any) -> Any:
    """Call as code does that has a route of its own: without a class for the stream."""
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 6, "stream": True}
    return client.post("/chat/completions", cast_to=ChatCompletionChunk, body=body, stream=True)


WAYS = {"chat": chat, "completions": completion, "responses": response, "post": posted}
PATHS = {
    "chat": "/v1/chat/*",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "post": "/v1/chat/*",
}


def asked(simulator: Simulator) -> int:
    return sum(request.method == "POST" for request in simulator.requests)


def said(items: list[Any]) -> list[str]:
    """What a stream said, kind by kind; without ids and times."""
    texts = []
    for item in items:
        if hasattr(item, "choices"):
            texts += [
                repr(getattr(choice, "delta", None) or getattr(choice, "text", None))
                for choice in item.choices
            ]
        else:
            texts.append(f"{item.type} {getattr(item, 'delta', '')}")
    return texts


@every_kind
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("cut", {"after_events": 1}),
        ("reset", {"after_events": 1}),
        ("close-between-events", {"after_events": 1}),
        ("engine-dead-within", {"after_events": 1}),
        ("empty-stream", {}),
        ("html", {}),
    ],
)
def test_broken_before_its_first_token(
    caller: Caller, way: str, fault: str, options: dict[str, Any], pair: Any
) -> None:
    """A stream that breaks before it brought anything comes from another replica, whole and once."""
    one, other = pair
    if way == "completions" and options:
        options = {"after_events": 0}  # its first event has text already
    how = {"api_key": KEY, "wire": "sdk"}
    honest = caller.run(WAYS[way], base_url=other.url, **how)
    one.faults.turn_on(fault, path=PATHS[way], **options)
    before, calls = asked(other), 0
    for session in sessions_until(lambda: asked(one)):
        met = caller.run(WAYS[way], base_url=[one.url, other.url], default_headers=session, **how)
        assert said(met) == said(honest)
        assert len({getattr(item, "id", None) for item in met}) == 1 or way == "responses"
        calls += 1
    assert (asked(one), asked(other) - before) == (1, calls)


@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_broken_after_its_first_token(caller: Caller, way: str, pair: Any) -> None:
    """What broke when its caller had a part of it is an error with that part, and nobody else is asked."""
    for simulator in pair:
        simulator.faults.turn_on("cut", after_events=5, path=PATHS[way])
    with pytest.raises(AnswerIncomplete) as caught:
        caller.run(WAYS[way], base_url=[one.url for one in pair], api_key=KEY, wire="sdk")
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert sum(asked(simulator) for simulator in pair) == 1


@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_once_more_from_the_only_one(caller: Caller, way: str, pair: Any) -> None:
    """Where there is no other server the same one is asked once more, as often as `max_retries` allows."""
    one, _ = pair
    one.faults.turn_on("cut", path=PATHS[way], times=1, after_events=0)
    assert caller.run(WAYS[way], base_url=one.url, api_key=KEY, wire="sdk")
    assert asked(one) == 2
    one.faults.turn_on("cut", path=PATHS[way], times=1, after_events=0)
    with pytest.raises(AnswerIncomplete):
        caller.run(WAYS[way], base_url=one.url, api_key=KEY, wire="sdk", max_retries=0)
    assert asked(one) == 3


def test_what_is_seen_of_another_answer(pair: Any) -> None:
    """A stream that came from elsewhere shows that response; its request had the key and the host of that server."""
    one, _ = pair
    one.faults.turn_on("empty-stream", path="/v1/chat/*")
    with (
        Simulator(models=(MODEL,), api_key=KEY, root_path="/mounted") as mounted,
        OpenAI(base_url=[one.url, mounted.url], api_key=KEY, wire="sdk") as client,
    ):
        for session in range(24):
            stream = client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, extra_headers={"X-Session-ID": str(session)}
            )
            assert len(list(stream)) > 3
            assert str(stream.response.url) == f"{mounted.url}/chat/completions"
            assert stream.response.request.headers["authorization"] == "Bearer ***"
        request = mounted.requests[-1]
        assert request.header("host") == f"127.0.0.1:{mounted.port}"
        assert request.header("authorization") == f"Bearer {KEY}"
        assert asked(one) >= 1


@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("fault", ["no-done", "finish-null", "error-within"])
def test_post(caller: Caller, wire: str, fault: str, pair: Any) -> None:
    """A stream of a caller's own `post` is judged at its end, though it names no class for it."""
    one, _ = pair
    assert caller.run(posted, base_url=one.url, api_key=KEY, wire=wire)
    one.faults.turn_on(fault, path="/v1/chat/*")
    with pytest.raises(AnswerIncomplete):
        caller.run(posted, base_url=one.url, api_key=KEY, wire=wire)


@every_kind
@pytest.mark.parametrize("way", [chat, response, lambda client: client.models.list()])
def test_unix_sockets(caller: Caller, way: Callable[[Any], Any], tmp_path: Path) -> None:
    """Of two unix sockets, which have one URL, an error names the one that was asked."""
    paths = [str(tmp_path / name) for name in ("a.sock", "b.sock")]
    with (
        Simulator(models=(MODEL,), api_key=KEY, uds=paths[0]) as one,
        Simulator(models=(MODEL,), api_key=KEY, uds=paths[1]) as other,
    ):
        one.faults.turn_on("busy")
        other.faults.turn_on("unauthorized")
        with pytest.raises(openai.AuthenticationError, match=r"b\.sock refused"):
            caller.run(way, base_url=[f"unix://{path}" for path in paths], api_key=KEY)


DROPPED = """
import asyncio, logging, sys
from tests.test_sdk_path import WAYS
from vllm_connect import AsyncOpenAI

logging.basicConfig()
kept = []

async def half_read(way, is_kept):
    client = AsyncOpenAI(base_url=sys.argv[1], api_key=sys.argv[2], wire=sys.argv[3])
    stream = await WAYS[way](client)
    async for item in stream:
        break
    kept.extend([stream] * is_kept)

for is_kept in (False, True):
    for way in WAYS:
        asyncio.run(half_read(way, is_kept))
"""


@pytest.mark.parametrize("wire", ["own", "sdk"])
def test_half_read(wire: str) -> None:
    """A stream that is half read when its loop ends, dropped or kept, is closed without a word of ours in the log; httpx has words of its own."""
    with Simulator(models=(MODEL,), api_key=KEY, token_delay=0.05) as server:
        ran = subprocess.run(
            [sys.executable, "-c", DROPPED, server.url, KEY, wire],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent.parent,
        )
    assert ran.returncode == 0
    if wire == "own":
        assert ran.stderr == ""
    assert "vllm_connect" not in ran.stderr
    assert "__stream__" not in ran.stderr
    assert "judged" not in ran.stderr


FORKED = """
import os, threading, time
from vllm_connect import OpenAI

class Slow:
    place = "a slow place"

    def load(self):
        loading.set()
        time.sleep(0.5)
        from vllm_connect.endpoint import Key
        return Key("slow-key", source=self.place)

loading = threading.Event()
client = OpenAI(base_url="http://127.0.0.1:9", api_key=Slow())
thread = threading.Thread(target=lambda: client.api_key)
thread.start()
loading.wait()
child = os.fork()
if not child:
    os._exit(0 if client.api_key == "slow-key" else 1)
deadline = time.monotonic() + 5
status = (0, 0)
while not status[0] and time.monotonic() < deadline:
    status = os.waitpid(child, os.WNOHANG)
    time.sleep(0.05)
if not status[0]:
    os.kill(child, 9)
print(status[1] if status[0] else "hung")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are of POSIX")
def test_fork_while_a_key_is_loaded() -> None:
    """A process that is forked while another thread loads the key loads it itself."""
    ran = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("0", "")
