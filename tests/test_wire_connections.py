"""Connections of our wire: kept, found dead, limited in number, given back, and left to nobody."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.runs import MODEL, SHELLS, Run, plain, stream, text_of
from vllm_connect import AsyncOpenAI, Limits, OpenAI, ServerUnreachable, Timeouts
from vllm_connect.errors import AnswerIncomplete
from vllm_connect.simulator import Simulator


@pytest.fixture(autouse=True)
def _own_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay on our wire where the suite is run over the SDK's transport."""
    monkeypatch.setenv("VLLMCONNECT_WIRE", "own")


@pytest.fixture
def server() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,)) as simulator:
        yield simulator


@pytest.fixture
def slow() -> Iterator[Simulator]:
    with Simulator(models=(MODEL,), token_delay=0.05) as simulator:
        yield simulator


@pytest.fixture
def apart() -> Iterator[Simulator]:
    """A server in a process of its own: its descriptors are not ours."""
    with Simulator(models=(MODEL,), own_process=True) as simulator:
        yield simulator


def echoed(client: Any, number: int) -> Any:
    """A call whose answer only this prompt gets."""
    messages: Any = [{"role": "user", "content": f"Prompt {number}."}]
    return client.chat.completions.create(model=MODEL, messages=messages, max_tokens=8)


# -- kept connections


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("fault", ["close-when-idle", "reset-at-reuse"])
def test_found_dead(server: Simulator, shell: str, fault: str) -> None:
    """A kept connection that the server ended costs its caller nothing: one request, counted as no retry."""
    outcomes = Run(server, shell, max_retries=0)((plain, fault), (plain, ""))
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert [request.header("x-stainless-retry-count") for request in server.requests] == ["0", "0"]
    assert server.connections == 2


@pytest.mark.parametrize("shell", SHELLS)
def test_free_try_is_for_kept_connections(server: Simulator, shell: str) -> None:
    """A new connection that breaks unanswered is not tried again for free, nor a kept one that began its answer."""
    fresh, kept, begun = Run(server, shell, max_retries=0)(
        (plain, "reset-unanswered"), (plain, ""), (plain, "length-too-long")
    )
    assert [type(outcome.error) for outcome in (fresh, kept, begun)] == [
        ServerUnreachable,
        type(None),
        AnswerIncomplete,
    ]
    assert len(server.requests) == 3


# -- their number

TWO = Limits(connections=2)


def test_third_call_waits_for_a_place(slow: Simulator) -> None:
    """Beyond `connections` a call waits; what ends without a place says so, and blames no server."""
    with OpenAI(base_url=slow.url, limits=TWO) as client:
        streams = [stream(client, extra_headers={}) for _ in range(2)]
        with pytest.raises(
            openai.APIConnectionError, match="all connections that `limits` allows are in use"
        ) as caught:
            plain(client, timeouts=Timeouts(total=0.2))
        streams[0].close()
        assert plain(client).choices
        streams[1].close()
    assert isinstance(caught.value, ServerUnreachable)
    assert (caught.value.attempts, len(slow.requests)) == (1, 3)


def test_closing_a_client_ends_what_another_thread_reads(server: Simulator) -> None:
    """A stream that is waited for ends as lost when its client is closed, at once, and so does the server's work."""
    server.pace(token_delay=8)
    ended: list[openai.OpenAIError] = []

    def read(chunks: Any) -> None:
        try:
            list(chunks)
        except openai.OpenAIError as error:
            ended.append(error)

    with OpenAI(base_url=server.url, timeouts=Timeouts(total=5)) as client:
        chunks = stream(client)
        next(chunks)
        reading = threading.Thread(target=read, args=(chunks,))
        reading.start()
        time.sleep(0.2)  # by then it waits
    reading.join(2)
    assert not reading.is_alive()
    assert [type(error) for error in ended] == [AnswerIncomplete]


def test_closing_a_client_ends_its_calls(server: Simulator) -> None:
    """A call that waits for its first token when its client is closed ends, and is not asked for again."""
    server.pace(first_token_delay=8)
    ended: list[BaseException] = []

    def ask(client: OpenAI) -> None:
        try:
            plain(client)
        except openai.OpenAIError as error:
            ended.append(error)

    with OpenAI(base_url=server.url, timeouts=Timeouts(total=6)) as client:
        asking = threading.Thread(target=ask, args=(client,))
        asking.start()
        time.sleep(0.2)  # by then it waits
    asking.join(3)

    async def run() -> BaseException:
        async with AsyncOpenAI(base_url=server.url, timeouts=Timeouts(total=6)) as client:
            asking = asyncio.create_task(plain(client))
            await asyncio.sleep(0.2)
        with pytest.raises(openai.OpenAIError) as caught:
            await asyncio.wait_for(asking, 3)
        return caught.value

    ended.append(asyncio.run(run()))
    assert [type(error) for error in ended] == [ServerUnreachable] * 2
    assert ["was closed" in str(error) for error in ended] == [True] * 2
    assert len(server.requests) == 2


def test_third_call_waits_for_a_place_on_asyncio(slow: Simulator) -> None:
    """The same on asyncio, where the place goes to who waits longest."""

    async def run() -> None:
        async with AsyncOpenAI(base_url=slow.url, limits=TWO) as client:
            streams = [await stream(client) for _ in range(2)]
            with pytest.raises(
                openai.APIConnectionError, match="all connections that `limits` allows are in use"
            ):
                await plain(client, timeouts=Timeouts(total=0.2))
            waiting = asyncio.create_task(plain(client))
            await asyncio.sleep(0)
            await streams[0].close()
            assert (await waiting).choices
            await streams[1].close()

    asyncio.run(run())


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "fault", ["not-http", "cut", "html", "close-unanswered", "long-header", "status; code=400"]
)
def test_place_of_a_failed_call(server: Simulator, shell: str, fault: str) -> None:
    """However a call fails, its place is free for the next."""
    one = Run(server, shell, max_retries=0, limits=Limits(connections=1), timeouts=Timeouts(total=10))
    *failed, after = one(*[(stream, fault)] * 3, (plain, ""))
    assert all(isinstance(outcome.error, openai.OpenAIError) for outcome in failed)
    assert after.error is None


def test_place_of_a_dropped_stream(slow: Simulator) -> None:
    """A stream that nobody holds any more gives its place back, and the server is told to stop."""
    with OpenAI(base_url=slow.url, limits=Limits(connections=1)) as client:
        dropped = stream(client)
        next(dropped)
        del dropped
        gc.collect()
        assert plain(client, timeouts=Timeouts(total=5)).choices
        assert slow.aborted == 1


def test_cancelled_at_any_moment(slow: Simulator) -> None:
    """A cancelled call leaves nothing behind: no task, no place taken; the server stops."""
    chance = random.Random(4)

    async def use(client: Any, number: int) -> None:
        if number % 2:
            async for _ in await stream(client):
                pass
        else:
            await plain(client)

    async def run() -> None:
        async with AsyncOpenAI(base_url=slow.url, limits=TWO) as client:
            for number in range(30):
                calls = [asyncio.create_task(use(client, number + i)) for i in range(3)]
                await asyncio.sleep(chance.random() * 0.1)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            assert len(asyncio.all_tasks()) == 1
            answers = await asyncio.wait_for(asyncio.gather(plain(client), plain(client)), 10)
            assert len(answers) == 2
        assert slow.aborted > 0

    asyncio.run(run())


# -- who holds them


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_dropped_clients(apart: Simulator) -> None:
    """Clients that nobody closes leave no descriptor open."""
    before = descriptors()
    client = None
    for _ in range(100):
        client = OpenAI(base_url=apart.url)
        plain(client)
        next(stream(client))
    del client
    gc.collect()
    assert descriptors() <= before + 2


def test_dropped_clients_on_asyncio(apart: Simulator) -> None:
    """The same on asyncio, in one loop and at the end of many; the loop has nothing to complain about."""
    complaints: list[Any] = []

    async def use(times: int) -> None:
        client = None
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        for _ in range(times):
            client = AsyncOpenAI(base_url=apart.url)
            await plain(client)
            await anext(await stream(client))
        del client
        gc.collect()
        await asyncio.sleep(0.01)

    before = descriptors()
    asyncio.run(use(20))
    for _ in range(10):
        asyncio.run(use(1))
    gc.collect()
    assert not complaints
    assert descriptors() <= before + 2


def test_several_loops(server: Simulator) -> None:
    """One async client serves event loops one after another, and in several threads at once."""
    client = AsyncOpenAI(base_url=server.url)
    wrong: list[BaseException] = []

    async def use() -> None:
        await asyncio.gather(*(plain(client) for _ in range(4)))

    def several() -> None:
        try:
            for _ in range(3):
                asyncio.run(use())
        except BaseException as error:  # noqa: BLE001 - of another thread, told below
            wrong.append(error)

    several()
    threads = [threading.Thread(target=several) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(client.close())
    assert not wrong


def test_many_threads(server: Simulator) -> None:
    """Threads share a client without a word of one reaching another."""
    heard: dict[int, set[str]] = {number: set() for number in range(32)}
    with OpenAI(base_url=server.url) as client:

        def ask(number: int) -> None:
            for _ in range(5):
                heard[number].add(text_of(echoed(client, number)))

        threads = [threading.Thread(target=ask, args=(number,)) for number in heard]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(len(texts) == 1 for texts in heard.values())
    assert len(set.union(*heard.values())) == 32
    assert server.connections <= 32


FORKED = """
import os, sys
from tests.runs import plain, stream
from vllm_connect import OpenAI

client = OpenAI(base_url=sys.argv[1])
plain(client)
under_way = stream(client)
next(under_way)
child = os.fork()
if not child:
    plain(client)
    os._exit(0)
_, status = os.waitpid(child, 0)
rest = len(list(under_way))
plain(client)
print(status, rest)
"""


def test_fork(server: Simulator) -> None:
    """A forked process opens connections of its own; those of its parent stay the parent's, a stream included."""
    ran = subprocess.run(
        [sys.executable, "-c", FORKED, server.url],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert (ran.stdout.split(), ran.stderr) == (["0", "8"], "")
    assert server.connections == 2
