"""Calls on two real servers of which one fails: how it fails, the load meanwhile, and what each call must come to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import openai

from tests.live.servers import Options, Server
from vllm_connect import AsyncOpenAI, OpenAI, Timeouts, answers

__all__ = [
    "FAULTS",
    "LIMITED",
    "Asked",
    "Load",
    "Report",
    "Texts",
    "cancelled_within",
    "engine_apart",
    "references",
]

MODEL = "tiny"
TOKENS = 192
PROMPTS = 24
GREEDY: Mapping[str, Any] = {
    "model": MODEL,
    "temperature": 0,
    "seed": 7,
    "max_tokens": TOKENS,
    "extra_body": {"ignore_eos": True, "return_token_ids": True},
}
# Longer than a silent replica is asked twice, which takes some 16 s, and its calls done elsewhere.
TOTAL = 90.0
# Where hardly any call begins: seconds between two of one caller, and between two looks whether that is over.
BETWEEN, PAUSE = 30.0, 0.2
# Runs four calls, has four wait, and refuses the rest of its half of sixty-four.
LIMITED = ("--max-num-seqs=4", "--max-num-queued-reqs=4")


# -- what is asked


class Asked(NamedTuple):
    """One call: by which endpoint, streamed or not, and with which prompt."""

    endpoint: Literal["chat", "completions"]
    streamed: bool
    number: int

    def arguments(self) -> dict[str, Any]:
        text = f"Count from {self.number} to {self.number * 7} and tell what is odd about it."
        prompt: Any = (
            {"messages": [{"role": "user", "content": text}]}
            if self.endpoint == "chat"
            else {"prompt": f"{text} It"}
        )
        return {**GREEDY, **prompt, "stream": self.streamed}

    def method(self, client: Any) -> Callable[..., Any]:
        return (client.chat.completions if self.endpoint == "chat" else client.completions).create  # type: ignore[no-any-return]


class Told:
    """What an answer says so far."""

    def __init__(self) -> None:
        self.text = ""
        self.finish: str | None = None
        self.prompt: list[int] = []
        self.tokens: list[int] = []

    def take(self, part: Any) -> None:
        """Take a whole answer or a chunk."""
        self.prompt = answers.prompt_token_ids(part) or self.prompt
        for choice in part.choices:
            self.tokens += answers.token_ids(choice) or ()
            said = getattr(choice, "message", None) or getattr(choice, "delta", None)
            self.text += (choice.text if said is None else said.content) or ""
            self.finish = choice.finish_reason or self.finish


class Ended(NamedTuple):
    """What one call came to."""

    asked: Asked
    told: Told
    error: Exception | None
    seconds: float
    # How the replicas did when it failed.
    replicas: str = ""

    @property
    def text(self) -> str:
        return self.told.text

    @property
    def finish(self) -> str | None:
        return self.told.finish


Texts = Mapping[tuple[str, int], str]


def references(*servers: Server) -> Texts:
    """What undisturbed servers say to each prompt to which they always say the same.

    vLLM promises the same text only with batch invariance. Of 48 prompts 3 are answered otherwise, from somewhere in
    their middle on, once their beginning is cached or they share a batch, by plain openai too: those are not asked.
    Others may be so under another load, which `is_greedy` tells from a wrong answer.
    """
    told = [one for server in servers for at_once in (1, 8, 8) for one in _told_by(server, at_once)]
    texts: dict[tuple[str, int], set[str]] = {}
    for one in told:
        assert (one.error, one.finish) == (None, "length"), one
        texts.setdefault((one.asked.endpoint, one.asked.number), set()).add(one.text)
    steady = {prompt: said.pop() for prompt, said in texts.items() if len(said) == 1}
    assert len(steady) > PROMPTS, sorted(steady)
    return steady


def _told_by(server: Server, at_once: int) -> list[Ended]:
    asked = [
        Asked(endpoint, False, number) for endpoint in ("chat", "completions") for number in range(PROMPTS)
    ]
    given: Any = {"base_url": server.url, "api_key": server.options.api_key}
    with OpenAI(**given) as client, ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda one: ended(client, one), asked))


def ended(client: Any, asked: Asked) -> Ended:
    """Make one call on a blocking client."""
    told, error, replicas, began = Told(), None, "", time.monotonic()
    try:
        answer = asked.method(client)(**asked.arguments())
        for part in answer if asked.streamed else [answer]:
            told.take(part)
    except Exception as raised:  # noqa: BLE001 - judged later
        error, replicas = raised, standing(client)
    return Ended(asked, told, error, time.monotonic() - began, replicas)


async def aended(client: Any, asked: Asked) -> Ended:
    """Make one call on an asyncio client."""
    told, error, replicas, began = Told(), None, "", time.monotonic()
    try:
        answer = await asked.method(client)(**asked.arguments())
        if asked.streamed:
            async for chunk in answer:
                told.take(chunk)
        else:
            told.take(answer)
    except Exception as raised:  # noqa: BLE001 - judged later
        error, replicas = raised, standing(client)
    return Ended(asked, told, error, time.monotonic() - began, replicas)


def standing(client: Any) -> str:
    """How each replica of a client is at this moment, in a line."""
    return "; ".join(
        f"{one.name} {one.state} ({one.reason}), {one.in_flight} in flight, {one.failures} failures, rests for {one.rests_for}"
        for one in client.server.replicas()
    )


# How far below the most likely token, in logprob, the chosen one may lie: numbers differ so between batches.
TIE = 0.05


def is_greedy(server: Server, told: Told) -> bool:
    """Whether each token of an answer is one that the model chooses behind those before it, as a server rates it."""
    if len(told.tokens) != TOKENS:
        return False
    whole = [*told.prompt, *told.tokens]
    more = {"prompt_logprobs": 1}
    with OpenAI(base_url=server.url, api_key=server.options.api_key) as client:
        rated = client.completions.create(model=MODEL, prompt=whole, max_tokens=1, extra_body=more)
    behind = (answers.prompt_logprobs(rated) or [])[len(told.prompt) :]
    return len(behind) == TOKENS and all(
        max(one["logprob"] for one in (among or {}).values()) - (among or {})[str(token)]["logprob"] <= TIE
        for token, among in zip(told.tokens, behind, strict=True)
    )


# -- the load


class Load:
    """So many calls in flight on two replicas, half from an event loop and half from threads; a context manager.

    What is asked are the prompts of `texts`. `calls` fills as they end; on leaving, no call is begun any more, and those under way are waited for.
    """

    def __init__(
        self,
        urls: Sequence[str],
        in_flight: int,
        chance: random.Random,
        texts: Texts,
        *,
        key: str | None = None,
    ) -> None:
        self._texts = texts
        self._given: Any = {"base_url": list(urls), "api_key": key, "timeouts": Timeouts(total=TOTAL)}
        self._half = in_flight // 2
        self._chance = chance
        self._is_over = threading.Event()
        self._is_eased = False
        self._asked = self._mixed()
        self._lock = threading.Lock()
        self.calls: list[Ended] = []
        self._threads = [threading.Thread(target=self._in_a_loop)]

    def __enter__(self) -> Self:
        self._client = OpenAI(**self._given)
        self._threads += [threading.Thread(target=self._blocking) for _ in range(self._half)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    @contextlib.contextmanager
    def eased(self) -> Iterator[None]:
        """Have hardly any call begin, so that a server that starts meanwhile has a processor to start on."""
        self._is_eased = True
        try:
            yield
        finally:
            self._is_eased = False

    def _pauses(self) -> bool:
        return self._is_eased and not self._is_over.is_set() and self._chance.random() > PAUSE / BETWEEN

    def _mixed(self) -> Iterator[Asked]:
        kinds = itertools.cycle(itertools.product(("chat", "completions"), (False, True)))
        for endpoint, streamed in kinds:
            numbers = sorted(number for of, number in self._texts if of == endpoint)
            yield Asked(endpoint, streamed, self._chance.choice(numbers))  # type: ignore[arg-type]

    def _next(self) -> Asked:
        with self._lock:
            return next(self._asked)

    def _blocking(self) -> None:
        while not self._is_over.is_set():
            if self._pauses():
                time.sleep(PAUSE)
                continue
            self.calls.append(ended(self._client, self._next()))

    def _in_a_loop(self) -> None:
        asyncio.run(self._together())

    async def _together(self) -> None:
        async with AsyncOpenAI(**self._given) as client:

            async def work() -> None:
                while not self._is_over.is_set():
                    if self._pauses():
                        await asyncio.sleep(PAUSE)
                        continue
                    self.calls.append(await aended(client, self._next()))

            await asyncio.gather(*(work() for _ in range(self._half)))


# -- what it came to


@dataclass
class Report:
    """What the calls of one trial came to, each in exactly one of: done, partial, wrong.

    Of those that are done, `otherwise` counts answers that are greedy as `server` rates them, and another than before.
    """

    calls: Sequence[Ended]
    texts: Texts
    server: Server
    done: int = 0
    partial: int = 0
    otherwise: int = 0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for call in self.calls:
            self._judge(call)

    def _judge(self, call: Ended) -> None:
        if call.error is None:
            undisturbed = self.texts[call.asked.endpoint, call.asked.number]
            is_same = call.finish == "length" and call.text == undisturbed
            if is_same or (call.finish == "length" and is_greedy(self.server, call.told)):
                self.done += 1
                self.otherwise += not is_same
            else:
                told = f"{call.asked} was taken for done: {call.finish!r}, {call.text!r}"
                self.wrong.append(f"{told}; undisturbed it is {undisturbed!r}")
        elif not (call.asked.streamed and call.text):
            self.wrong.append(f"{call.asked} failed with nothing delivered: {call.error!r}; {call.replicas}")
        elif isinstance(call.error, openai.APIConnectionError) and getattr(call.error, "partial", None):
            self.partial += 1
        else:
            self.wrong.append(f"{call.asked} failed without its part: {call.error!r}; {call.replicas}")

    @property
    def longest(self) -> float:
        """Seconds that the longest call took."""
        return max((call.seconds for call in self.calls), default=0.0)

    @property
    def kinds(self) -> Counter[str]:
        """How the errors of the cut streams are named."""
        return Counter(type(call.error).__name__ for call in self.calls if call.error is not None)


def cancelled_within(server: Server) -> float:
    """Begin long calls, cancel them, and return the seconds until the engine runs none of them."""

    async def run() -> float:
        async with AsyncOpenAI(base_url=server.url) as client:
            # Sixteen answers each, so that the work lasts; sampled, as they must be then, and without a seed, which
            # the sampler of the CPU build dies of.
            sampled = {"temperature": 1, "seed": openai.omit, "max_tokens": 900, "n": 16}
            long = {**Asked("chat", False, 1).arguments(), **sampled}
            calls = [
                asyncio.create_task(consumed(client.chat.completions.create(**{**long, "stream": streamed})))
                for streamed in (False, True) * 4
            ]
            await asyncio.to_thread(wait_for, lambda: running(server) > 0, 20)
            for call in calls:
                call.cancel()
            began = time.monotonic()
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.to_thread(wait_for, lambda: running(server) == 0, 20)
            return time.monotonic() - began

    return asyncio.run(run())


async def consumed(call: Any) -> None:
    """Read an answer to its end."""
    answer = await call
    if hasattr(answer, "__aiter__"):
        async for _ in answer:
            pass


def running(server: Server) -> float:
    """How many requests the engine runs, as `/metrics` tells it."""
    return metric(server, "vllm:num_requests_running")


def metric(server: Server, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


def wait_for(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when it is so; raises TimeoutError."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {seconds:g} s")
        time.sleep(0.02)


# -- how a server fails


def engine_apart(model: Path, *, extra: tuple[str, ...] = ()) -> Options:
    """A server as it is run: its engine is a process of its own, which can be killed alone."""
    return Options(
        kind="chat",
        model=model,
        names=(MODEL,),
        extra=extra,
        variables={"VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
    )


def _killed(server: Server, _: random.Random, __: Load) -> None:
    os.killpg(server.process_group, signal.SIGKILL)


def _terminated(server: Server, _: random.Random, __: Load) -> None:
    os.kill(server.process_group, signal.SIGTERM)


def _stopped(server: Server, chance: random.Random, _: Load) -> None:
    """Stop all its processes, for less or for more than it takes to give it up, and let them go on."""
    os.killpg(server.process_group, signal.SIGSTOP)
    time.sleep(chance.choice((8.0, 25.0)))
    os.killpg(server.process_group, signal.SIGCONT)


def _engine_killed(server: Server, _: random.Random, __: Load) -> None:
    os.kill(engine_of(server), signal.SIGKILL)


def _restarted(server: Server, _: random.Random, load: Load) -> None:
    os.kill(server.process_group, signal.SIGTERM)
    server.stop()
    with load.eased():
        server.start()
        server.wait_ready()
    # Its counters begin at 0: it must get work again.
    wait_for(lambda: metric(server, "vllm:request_success_total") > 0, 30)


def _full(_server: Server, _: random.Random, __: Load) -> None:
    """Nothing is done: it was started with a queue for less than the load."""


FAULTS: Mapping[str, Callable[[Server, random.Random, Load], None]] = {
    "SIGKILL": _killed,
    "SIGTERM": _terminated,
    "SIGSTOP": _stopped,
    "engine killed": _engine_killed,
    "restart": _restarted,
    "queue limit": _full,
}


def engine_of(server: Server) -> int:
    """The process of the engine: the one of the server's group that names itself so."""
    for status in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(status.parent.name)
            if status.read_text().startswith("VLLM::Engine") and os.getpgid(pid) == server.process_group:
                return pid
    raise LookupError(f"no engine of {server.root_url}")
