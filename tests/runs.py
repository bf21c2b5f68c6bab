"""Calls on one client, one after another, each met by a fault of the simulator or by none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio

from vllm_connect import AsyncOpenAI, OpenAI
from vllm_connect.simulator import Simulator

__all__ = [
    "ALL",
    "LANE",
    "MESSAGES",
    "MODEL",
    "PLAIN",
    "SHELLS",
    "STREAM",
    "Outcome",
    "Run",
    "plain",
    "sdk_plain",
    "sdk_stream",
    "stream",
    "text_of",
]

MODEL = "sim-model"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]

# -- the ways of a call


def plain(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=8, **options)


def stream(client: Any, **options: Any) -> Any:
    return plain(client, stream=True, **options)


def sdk_plain(client: Any, extra_headers: Any) -> Any:
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 8}
    return client.post("/chat/completions", body=body, cast_to=object, options={"headers": extra_headers})


def sdk_stream(client: Any, **options: Any) -> Any:
    return client.responses.create(
        model=MODEL, input="Say something.", max_output_tokens=8, stream=True, **options
    )


LANE = (plain, stream)
ALL = (plain, stream, sdk_plain, sdk_stream)
PLAIN = (plain, sdk_plain)
STREAM = (stream, sdk_stream)
SHELLS = ("blocking", "asyncio")


@dataclass
class Outcome:
    """What came of one call: its answer (of a stream the items until its end or its error), its error, its time."""

    answer: Any
    error: BaseException | None
    seconds: float


class Run:
    """One call after another on one client, each with a fault or none."""

    def __init__(self, server: Simulator, shell: str, **options: Any) -> None:
        self.shell = shell
        self.options = {"base_url": server.url, "wire": "own", **options}

    def __call__(self, *calls: tuple[Callable[..., Any], str]) -> list[Outcome]:
        if self.shell == "asyncio":
            return anyio.run(self._arun, calls)
        with OpenAI(**self.options) as client:
            return [self._outcome(client, way, fault) for way, fault in calls]

    def _outcome(self, client: Any, way: Callable[..., Any], fault: str) -> Outcome:
        answer: Any = []
        error = None
        started = time.monotonic()
        try:
            returned = way(client, extra_headers=_asked(fault))
            if hasattr(returned, "__next__"):
                answer.extend(returned)
            else:
                answer = returned
        except Exception as raised:  # noqa: BLE001 - which one is what the tests ask
            error = raised
        return Outcome(answer, error, time.monotonic() - started)

    async def _arun(self, calls: Any) -> list[Outcome]:
        async with AsyncOpenAI(**self.options) as client:
            return [await self._aoutcome(client, way, fault) for way, fault in calls]

    async def _aoutcome(self, client: Any, way: Callable[..., Any], fault: str) -> Outcome:
        answer: Any = []
        error = None
        started = time.monotonic()
        try:
            returned = await way(client, extra_headers=_asked(fault))
            if hasattr(returned, "__anext__"):
                async for item in returned:
                    answer.append(item)
            else:
                answer = returned
        except Exception as raised:  # noqa: BLE001 - as above
            error = raised
        return Outcome(answer, error, time.monotonic() - started)


def _asked(fault: str) -> dict[str, str]:
    return {"x-simulator-fault": fault} if fault else {}


def text_of(answer: Any) -> str:
    """The text of a chat answer, plain or of a stream."""
    if isinstance(answer, list):
        return "".join(
            choice.delta.content or "" for chunk in answer for choice in chunk.choices if choice.delta
        )
    return str(answer.choices[0].message.content)
