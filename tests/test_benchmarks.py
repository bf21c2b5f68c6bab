"""What makes the figures of `./dev bench` mean something: the responder serves right, and answers are compared."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessage

from benchmarks import answers, requests
from benchmarks.described import described
from benchmarks.goals import AtLeastTimes, AtMost, AtMostMore, Figures, Goal
from benchmarks.report import summary
from benchmarks.runs import ROOT, Responder, responder
from benchmarks.subjects import ours_blocking

CHAT = requests.on_the_wire("/v1/chat/completions", requests.chat())


@pytest.fixture(scope="module")
def serving() -> Iterator[Responder]:
    with responder() as running:
        yield running


def received(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := connection.recv(65536)):
        data += more
    return data


@pytest.mark.parametrize("cut", [1, CHAT.index(b"\r\n\r\n") + 2, CHAT.index(b"\r\n\r\n") + 4, len(CHAT) - 1])
def test_a_request_in_two_pieces_is_answered_once_it_is_whole(serving: Responder, cut: int) -> None:
    """A request may be split anywhere, and nothing is answered before its last byte."""
    with socket.create_connection(("127.0.0.1", serving.server.port)) as connection:
        connection.sendall(CHAT[:cut])
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(CHAT[cut:] + CHAT)
        assert received(connection, 2 * len(answers.CHAT)) == 2 * answers.CHAT


def test_a_stream_has_the_chunks_it_is_said_to_have(serving: Responder) -> None:
    """A dense stream is HTTP that others read too: so many chunks, each JSON, then the terminator."""
    connection = http.client.HTTPConnection("127.0.0.1", serving.server.port)
    body = json.dumps(requests.chat() | {"stream": True}).encode()
    connection.request("POST", "/v1/chat/completions", body)
    *events, terminator, rest = connection.getresponse().read().split(b"\n\n")
    connection.close()
    assert (terminator, rest) == (b"data: [DONE]", b"")
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert len(chunks) == answers.CHUNKS
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_paced_streams_begin_together_and_end_whole(serving: Responder) -> None:
    """A paced stream holds still until as many are open as its model's name says, then all of them run to the end."""
    request = requests.on_the_wire("/v1/chat/completions", requests.chat("paced-2") | {"stream": True})
    whole = answers.STREAM_HEAD + b"".join(answers.PACED) + answers.STREAM_END
    address = ("127.0.0.1", serving.server.port)
    with socket.create_connection(address) as one, socket.create_connection(address) as other:
        one.sendall(request)
        assert received(one, len(answers.STREAM_HEAD)) == answers.STREAM_HEAD
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(1)
        one.settimeout(10)
        other.sendall(request)
        assert received(other, len(whole)) == whole
        assert answers.STREAM_HEAD + received(one, len(whole) - len(answers.STREAM_HEAD)) == whole


def test_connections_are_counted() -> None:
    """The count tells the most connections at a time, which is what a client is held to."""
    with responder() as running:
        address = ("127.0.0.1", running.server.port)
        with socket.create_connection(address) as one, socket.create_connection(address) as other:
            for connection in (one, other):
                connection.sendall(CHAT)
                received(connection, len(answers.CHAT))
            assert running.count() == {"opened": 2, "open": 2, "most": 2}
        running.settle()
        assert running.count() == {"opened": 0, "open": 0, "most": 0}


def test_answers_that_differ_are_described_differently() -> None:
    """Equal values are not enough: the type counts, and whether a field was set."""
    body = answers.CHAT.partition(b"\r\n\r\n")[2]
    answer = ChatCompletion.model_validate_json(body)
    same, unset, untyped = (ChatCompletion.model_validate_json(body) for _ in range(3))
    unset.choices[0].message.model_fields_set.discard("refusal")
    untyped.choices[0].message = untyped.choices[0].message.model_dump()  # type: ignore[assignment]  # as a careless client would
    assert isinstance(answer.choices[0].message, ChatCompletionMessage)
    assert described([answer]) == described([same])
    assert len({described([each]) for each in (answer, unset, untyped)}) == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_answered_is_freed_without_the_garbage_collector(
    serving: Responder, *, streamed: bool
) -> None:
    """Nothing of a call holds itself in a ring: a large body goes when its caller lets go of it."""
    with ours_blocking(f"http://127.0.0.1:{serving.server.port}/v1") as client:

        def call() -> None:
            client.chunks() if streamed else client.call()

        def left_over() -> int:
            gc.collect()
            for _ in range(5):
                call()
            return gc.collect()

        call()
        gc.disable()
        try:
            # A thread of an earlier test may end meanwhile, and leave rings of its own; ours would be there each time.
            assert min(left_over() for _ in range(3)) == 0
        finally:
            gc.enable()


FIGURES: Figures = {
    "openai": {"cpu_us": 1000, "import_ms": 500},
    "ours": {"cpu_us": 50, "import_ms": 540},
}


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (AtLeastTimes(20), True),
        (AtLeastTimes(20.1), False),
        (AtMost("cpu_us", 50, "us"), True),
        (AtMost("cpu_us", 49, "us"), False),
        (AtMostMore("import_ms", 40, "openai", "ms"), True),
        (AtMostMore("import_ms", 39, "openai", "ms"), False),
    ],
)
def test_a_goal_is_reached_at_its_bound(goal: Goal, *, reached: bool) -> None:
    """A goal counts as reached from its bound on."""
    assert goal.reached(FIGURES) is reached


@pytest.mark.parametrize(
    ("missed", "failed", "told"),
    [
        ([], [], ["all goals reached"]),
        (["calls: …"], [], ["goals missed: 1", "    calls: …"]),
        ([], ["calls"], ["not measured: calls"]),
        (["tls: …"], ["calls"], ["not measured: calls", "goals missed: 1", "    tls: …"]),
    ],
)
def test_what_was_not_measured_is_not_told_as_reached(
    missed: list[str], failed: list[str], told: list[str]
) -> None:
    """All goals are reached only where every measurement was made."""
    assert list(summary(missed, failed)) == told


def test_a_measurement_that_does_not_exist_is_refused_with_those_that_do() -> None:
    """A misspelt name ends with 2 and the names there are."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "cals"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "no measurement is named cals; there are calls, stream," in done.stderr
