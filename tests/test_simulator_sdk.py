"""What plain openai makes of some faults: the catalogue's column on the SDK, seen again on both ends of openai."""

import re
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.simulator.simulated import MESSAGES
from vllm_connect.simulator import Simulator

READ_TIMEOUT = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(models=("sim-model",)) as simulator:
        yield simulator


def call(server: Simulator, fault: str | None, *, stream: bool) -> Any:
    """Make one call as a caller of the SDK does; returns the reply, or the texts of a stream."""
    name, parameters = split(fault or "")
    url = server.faults.url(name, **parameters) if fault else server.url
    asked: Any = {"model": "sim-model", "messages": MESSAGES, "max_tokens": 8, "stream": stream}
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=READ_TIMEOUT) as client:
        answer = client.chat.completions.create(**asked)
        if not stream:
            return answer
        return [chunk.choices[0].delta.content if chunk.choices else None for chunk in answer]


def split(fault: str) -> tuple[str, dict[str, Any]]:
    name, *pairs = fault.split("; ")
    return name, dict(pair.split("=") for pair in pairs)


@pytest.mark.parametrize(
    ("fault", "row", "shown"),
    [
        ("html", 37, r"<!DOCTYPE html>.*"),
        ("error-in-200", 38, r".*choices=None.*"),
        ("no-content", 39, r""),
        ("json-list", 39, r"\[\]"),
        ("choices-empty", 43, r".*choices=\[\].*"),
        ("choices-missing", 43, r".*choices=None.*"),
        ("finish-abort", 44, r".*finish_reason='abort'.*"),
        ("other-model", 47, r".*model='another-model'.*"),
        ("gzip-bomb; size=1000000", 48, r".*finish_reason='length'.*"),
        ("http10", 17, r".*finish_reason='length'.*"),
        ("interim", 19, r".*finish_reason='length'.*"),
    ],
)
def test_returned_as_success(server: Simulator, fault: str, row: int, shown: str) -> None:
    """Some answers are handed to the caller as they are, whether that is right or not."""
    assert re.fullmatch(shown, str(call(server, fault, stream=False)).strip(), re.DOTALL), row


@pytest.mark.parametrize(
    ("fault", "row", "kept"),
    [
        ("no-done", 51, slice(None)),
        ("close-between-events", 52, slice(3)),
        ("close-in-event", 53, slice(3)),
        ("stops-early", 69, slice(1)),
        ("html", 64, slice(0)),
        ("json-instead", 64, slice(0)),
        ("every-byte", 59, slice(None)),
        ("crlf", 59, slice(None)),
        ("cr", 59, slice(None)),
        ("mixed-line-ends", 59, slice(None)),
        ("several-data-lines", 59, slice(None)),
        ("data-without-space", 59, slice(None)),
        ("done-then-open", 66, slice(None)),
    ],
)
def test_streams_returned_as_success(server: Simulator, fault: str, row: int, kept: slice) -> None:
    """A stream that is cut, or is none, ends as if it were complete; one that is oddly written is read well."""
    assert call(server, fault, stream=True) == call(server, None, stream=True)[kept], row


@pytest.mark.parametrize(
    ("fault", "row", "stream", "raised"),
    [
        ("close-unanswered", 7, False, "APIConnectionError"),
        ("no-answer", 9, False, "APITimeoutError"),
        ("long-header", 14, False, "APIConnectionError"),
        ("length-too-long", 15, False, "APIConnectionError"),
        ("busy", 29, False, "InternalServerError"),
        ("unauthorized", 34, False, "AuthenticationError"),
        ("error-within", 57, True, "APIError"),
        # openai 2 lets its transport's errors through while a stream is read.
        ("cut", 54, True, "APIConnectionError|RemoteProtocolError"),
        ("reset", 54, True, "APIConnectionError|ReadError"),
        ("stall", 55, True, "APITimeoutError|ReadTimeout"),
        # Outside of the SDK's own tree of errors.
        ("http10-cut", 18, False, "JSONDecodeError"),
        ("empty-body", 39, False, "JSONDecodeError"),
        ("deep-json", 41, False, "RecursionError"),
        ("bad-utf8", 42, False, "UnicodeDecodeError"),
        ("bad-json-event", 58, True, "JSONDecodeError"),
        ("bad-utf8-event", 58, True, "UnicodeDecodeError"),
    ],
)
def test_raised(server: Simulator, fault: str, row: int, stream: bool, raised: str) -> None:  # noqa: FBT001 - a column
    """What the SDK raises, in its own tree of errors or not."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its name is what is looked at
        call(server, fault, stream=stream)
    assert re.fullmatch(raised, type(caught.value).__name__), row


@pytest.mark.parametrize(
    ("fault", "row", "stream"),
    [("drip-body; pause=0.002", 11, False), ("only-comments; pause=0.1; count=9", 56, True)],
)
def test_overrun(server: Simulator, fault: str, row: int, stream: bool) -> None:  # noqa: FBT001 - a column
    """A server that sends something now and then holds the SDK past its timeout."""
    started = time.monotonic()
    call(server, fault, stream=stream)
    assert time.monotonic() - started > READ_TIMEOUT, row
