"""What each measurement does: it drives a subject, meters the part that counts, and says what came out."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import floor, subjects
from benchmarks.answers import CHUNKS, PACED_CHUNKS
from benchmarks.described import described
from benchmarks.goals import Side
from benchmarks.meter import Meter, garbage_found, open_descriptors, resident_megabytes
from benchmarks.requests import MODEL, chat
from benchmarks.responder import PACE_SECONDS
from benchmarks.subjects import AsyncSdk, AsyncSubject, Read, Subject

_AT_ONCE: Final = 32
# So many that what the collection before left cold does not count: ours does a thousand in 40 ms.
_CALLS: Final = 4800
_STREAMS: Final = 96
_LOOKS: Final = 32_000
_PACED: Final = 256
_HELD: Final = 1000
_OPENED_AT_ONCE: Final = 40
_SOAK: Final = {"openai": 10_000, "ours": 100_000}
_WARM_UP: Final = 4  # times that each concurrent caller does its work before it counts


@dataclass(frozen=True, slots=True)
class Server:
    """Where the responder listens, and the authority that its TLS is signed by."""

    port: int
    tls_port: int
    authority: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run found: figures by name, and the output that must be the same on both sides."""

    figures: dict[str, float]
    output: str = ""


_ASYNC: Final[dict[Side, Callable[[str, str | None], AsyncSubject]]] = {
    "openai": subjects.openai_async,
    "ours": subjects.ours_async,
    "floor": floor.AsyncFloor,
}
_BLOCKING: Final[dict[Side, Callable[[str], Subject]]] = {
    "openai": subjects.openai_blocking,
    "ours": subjects.ours_blocking,
    "floor": floor.Floor,
}


def on_asyncio(
    work: Callable[[Any, Meter], Awaitable[Measured]], *, tls: bool = False
) -> Callable[[Side, Server, Meter], Measured]:
    def run(side: Side, server: Server, meter: Meter) -> Measured:
        url = f"https://localhost:{server.tls_port}/v1" if tls else f"http://127.0.0.1:{server.port}/v1"

        async def main() -> Measured:
            async with _ASYNC[side](url, server.authority if tls else None) as subject:
                return await work(subject, meter)

        return asyncio.run(main())

    return run


def blocking(work: Callable[[Any, Meter], Measured]) -> Callable[[Side, Server, Meter], Measured]:
    def run(side: Side, server: Server, meter: Meter) -> Measured:
        with _BLOCKING[side](f"http://127.0.0.1:{server.port}/v1") as subject:
            return work(subject, meter)

    return run


async def _asked(
    ask: Callable[[], Awaitable[Any]], meter: Meter, *, at_once: int = _AT_ONCE, times: int = _CALLS
) -> Measured:
    async def caller(count: int) -> Any:
        answer = None
        for _ in range(count):
            answer = await ask()
        return answer

    await asyncio.gather(*(caller(_WARM_UP) for _ in range(at_once)))
    each = times // at_once
    with meter:
        answers = await asyncio.gather(*(caller(each) for _ in range(at_once)))
    return Measured({"cpu_us": meter.microseconds_per(each * at_once)}, described(answers))


async def calls(subject: AsyncSubject, meter: Meter) -> Measured:
    return await _asked(subject.call, meter)


async def raw_calls(subject: AsyncSubject, meter: Meter) -> Measured:
    return await _asked(subject.raw_call, meter)


async def embeddings(subject: AsyncSubject, meter: Meter) -> Measured:
    return await _asked(subject.embed, meter, at_once=4, times=80)


def _checked(reads: list[Read], chunks: int) -> None:
    read = reads[0]
    assert len(set(reads)) == 1, "streams of one run differ"
    assert read.chunks == chunks, f"{read.chunks} of {chunks} chunks came"


async def dense(subject: AsyncSubject, meter: Meter) -> Measured:
    async def reader(count: int) -> list[Read]:
        return [await subject.read(await subject.open(MODEL)) for _ in range(count)]

    await asyncio.gather(*(reader(1) for _ in range(_AT_ONCE)))
    with meter:
        by_reader = await asyncio.gather(*(reader(_STREAMS // _AT_ONCE) for _ in range(_AT_ONCE)))
    reads = [read for reads in by_reader for read in reads]
    _checked(reads, CHUNKS)
    figures = {"cpu_us": meter.microseconds_per(len(reads) * CHUNKS)}
    return Measured(figures, described([reads[0].text, *await subject.chunks()]))


async def paced(subject: AsyncSubject, meter: Meter) -> Measured:
    """The responder starts all streams together once the last is open, so opening them does not count."""
    await asyncio.gather(*(subject.call() for _ in range(_PACED)))
    streams = await asyncio.gather(*(subject.open(f"paced-{_PACED}") for _ in range(_PACED)))
    with meter:
        reads = await asyncio.gather(*(subject.read(stream) for stream in streams))
    _checked(reads, PACED_CHUNKS)
    lasting = PACED_CHUNKS * PACE_SECONDS
    chunks = _PACED * PACED_CHUNKS
    figures = {
        "cpu_us": meter.microseconds_per(chunks),
        "lag_seconds": max(meter.wall_seconds - lasting, 0),
        "chunks_per_second": chunks / max(meter.wall_seconds, lasting),
    }
    return Measured(figures, described([reads[0].text]))


def blocking_calls(subject: Subject, meter: Meter) -> Measured:
    for _ in range(_WARM_UP * 10):
        subject.call()
    with meter:
        answers = deque((subject.call() for _ in range(_CALLS // 2)), maxlen=_AT_ONCE)
    return Measured({"cpu_us": meter.microseconds_per(_CALLS // 2)}, described(list(answers)))


def blocking_streams(subject: Subject, meter: Meter) -> Measured:
    for _ in range(_WARM_UP):
        subject.read(subject.open(MODEL))
    with meter:
        reads = [subject.read(subject.open(MODEL)) for _ in range(_STREAMS)]
    _checked(reads, CHUNKS)
    figures = {"cpu_us": meter.microseconds_per(len(reads) * CHUNKS)}
    return Measured(figures, described([reads[0].text, *subject.chunks()]))


async def held(subject: AsyncSdk, meter: Meter) -> Measured:
    """A thousand streams stand open, each after its first chunk."""
    await subject.chunks()
    streams: list[Any] = []
    before = resident_megabytes()
    with meter:
        # Some at a time: while a slow client sends a thousand requests, connecting takes longer than it may.
        while len(streams) < _HELD:
            streams += await asyncio.gather(*(subject.open("held") for _ in range(_OPENED_AT_ONCE)))
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    growth = resident_megabytes() - before
    for stream in streams:
        await stream.close()
    return Measured({"memory_mb": growth}, described(firsts))


def soak(side: Side, server: Server, meter: Meter) -> Measured:
    """Many calls: memory and descriptors after a tenth of them, and after all."""
    calls = _SOAK[side]

    async def work(subject: AsyncSdk, meter: Meter) -> Measured:
        await _asked(subject.call, Meter(), times=calls // 10)
        memory, descriptors, garbage = resident_megabytes(), open_descriptors(), garbage_found()
        rest = calls - calls // 10
        measured = await _asked(subject.call, meter, times=rest)
        growth = {
            "growth_mb": resident_megabytes() - memory,
            "more_descriptors": open_descriptors() - descriptors,
            "garbage": (garbage_found() - garbage) / rest,
        }
        return Measured(measured.figures | growth, measured.output)

    return on_asyncio(work)(side, server, meter)


_IMPORTS: Final = {
    "openai": (
        "import openai; openai.OpenAI",
        "import openai; openai.OpenAI(api_key='x', base_url='http://127.0.0.1:9/v1').chat.completions",
    ),
    "ours": (
        "from vllm_connect import OpenAI",
        "from vllm_connect import OpenAI; OpenAI(base_url='http://127.0.0.1:9/v1').chat.completions",
    ),
}


def looks(side: Side, server: Server, meter: Meter) -> Measured:
    """Requests with nothing doubtful in them, looked over before they would leave: unchanged, and nobody is asked."""
    given = [{**chat(), "temperature": 0.5, "seed": number} for number in range(_AT_ONCE)]
    with subjects.looking(side, f"http://127.0.0.1:{server.port}/v1") as look:
        seen = [look(dict(request)) for request in given]
        with meter:
            for _ in range(_LOOKS // _AT_ONCE):
                for request in given:
                    look(dict(request))
    return Measured({"cpu_us": meter.microseconds_per(_LOOKS)}, json.dumps(seen))


def imports(side: Side, _server: Server, _meter: Meter) -> Measured:
    """Fresh interpreters that import, and that make a client too."""
    importing, making = (_cpu_milliseconds(code) for code in _IMPORTS[side])
    return Measured({"import_ms": importing, "client_ms": making})


def _cpu_milliseconds(code: str) -> float:
    # As installed: bytecode is kept, which a developer's variable may forbid.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000
