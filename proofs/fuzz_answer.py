"""Fuzzes how answers are read: `./dev proof fuzz_answer [--seconds N] [--seed N]`.

Answers of the stand-in server, honest ones and those of its faults, are mutated and cut into pieces at random. However
they are cut, they must be read alike; nothing may be raised but what is declared; no more than the limits may be held.
A case that breaks a rule is printed with its seed, which `--seed` runs again.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple, get_args

from vllm_connect.endpoint import parse_endpoint
from vllm_connect.settings import Limits, Timers
from vllm_connect.simulator import Simulator
from vllm_connect.simulator.faults.table import FAULTS
from vllm_connect.wire.answer import AnswerReader
from vllm_connect.wire.exchange import Exchange, Wanted
from vllm_connect.wire.failures import WireFailure
from vllm_connect.wire.raw import RawExchange, exchange_raw
from vllm_connect.wire.route import route_to
from vllm_connect.wire.timing import Timing

LIMITS = Limits(body=16_384, error_body=1024, event=2048, headers=24, header_bytes=2048)
HEAD = 300
WAYS: tuple[Wanted, ...] = get_args(Wanted)
NO_TIMERS = Timers(connect=None, first_token=None, between_tokens=None, total=None)

# What the grammars turn on: the likeliest to be read wrongly where it does not belong.
TOKENS = (
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\n\n", b":", b" ", b"\0", b"\x80", b"0\r\n\r\n", b"5\r\n", b"-1", b"ffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n",
    b"content-length: 5\r\n", b"content-length: 6\r\n", b"transfer-encoding: chunked\r\n", b"content-encoding: gzip\r\n",
    b"connection: close\r\n", b"connection: keep-alive\r\n", b"upgrade: websocket\r\n", b"content-type: text/event-stream\r\n", b"data: ", b"data: [DONE]\n\n", b"event: error\n", b"\xef\xbb\xbf",
)  # fmt: skip


class Reading(NamedTuple):
    """What a client gets to see of one answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    payloads: tuple[bytes, ...]
    failure: str


class Broken(Exception):
    """A rule does not hold."""


def read(pieces: Sequence[bytes], wanted: Wanted, limits: Limits = LIMITS) -> Reading:
    """Read one answer from a connection that gives these pieces and ends; raises Broken where a rule does not hold."""
    reader = AnswerReader(limits)
    exchange = Exchange(reader, limits, wanted, Timing(NO_TIMERS, math.inf, 0.0))
    payloads: list[bytes] = []
    for piece in pieces:
        exchange.take_in(piece)
        payloads += exchange.unread
        exchange.unread.clear()
        if reader.body_bytes > limits.body + len(piece):
            raise Broken(f"{reader.body_bytes} bytes of the body are held")
        if exchange.is_done:
            break
    exchange.end()
    failure = exchange.failure
    if failure is not None and not isinstance(failure, WireFailure):
        raise Broken(f"{failure!r} is not a failure of the wire")
    if not exchange.is_done or (failure is None and exchange.answer is None):
        raise Broken("the end of the connection did not end it")
    answer = exchange.answer
    if wanted == "pieces" and exchange.is_stream:
        payloads = [b"".join(payloads)]
    return Reading(
        status=answer.status if answer else 0,
        headers=tuple(answer.headers) if answer else (),
        body=answer.body if answer else b"",
        payloads=tuple(payloads),
        failure=f"{type(failure).__name__}: {failure}" if failure else "",
    )


def honest_and_faulty() -> list[bytes]:
    """The bytes of answers of the stand-in server: plain and streamed, honest and with each of its faults that ends."""
    asked = [(fault, streamed) for fault in ("", *FAULTS) for streamed in (b"false", b"true")]
    seen = [answer(*ask) for ask in asked]
    return [exchange.data for exchange in seen if exchange.ended != "timeout" and exchange.received]


def answer(fault: str, streamed: bytes) -> RawExchange:
    """Ask a stand-in server of its own: some faults are the end of it."""
    body = b'{"model":"qwen","prompt":"Once","max_tokens":6,"stream":%b}' % streamed
    head = [
        b"POST /v1/completions HTTP/1.1",
        b"host: x",
        b"connection: close",
        b"x-request-id: fixed",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *([b"x-simulator-fault: %b" % fault.encode()] if fault else []),
    ]
    with Simulator(models=("qwen",)) as simulator:
        return exchange_raw(
            route_to(parse_endpoint(simulator.url), None, {}),
            [b"\r\n".join((*head, b"", body))],
            deadline=time.monotonic() + 0.5,
            judge=lambda _address: None,
            max_received=100_000,
        )


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the answers, or two of them in a row, with a few changes."""
    data = bytearray(b"".join(chance.choices(seeds, k=chance.choice((1, 1, 1, 1, 2)))))
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        # Heads are short and decide most: half of all changes are made there.
        at = chance.randrange(chance.choice((min(len(data), HEAD), len(data))) + 1)
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at:at] = chance.choice(TOKENS)
            case 2:
                del data[at : at + chance.choice((1, 2, 20, 500))]
            case 3:
                data[at:at] = data[at : at + chance.choice((1, 20, 500))] * chance.choice((1, 2, 50))
            case 4:
                data[at:at] = bytes([chance.randrange(256)]) * chance.choice((1, 100, 3000, 20_000))
            case _:
                del data[at:]
    return bytes(data)


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    """The same bytes in pieces: some at random places, of one length, or cut behind line ends."""
    match chance.randrange(3):
        case 0:
            ends = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 12)))
        case 1:
            ends = list(range(0, len(data), chance.choice((1, 2, 3, 7, 100, 1000))))
        case _:
            ends = [at + 1 for at, byte in enumerate(data) if byte in b"\r\n" and chance.randrange(3)]
    pieces = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def alike(one: Reading, other: Reading, wanted: Wanted) -> bool:
    """Whether two readings of the same bytes agree.

    Where both fail, they may differ in this: which of several faults of a head is found first; how many bytes are handed
    on as they come before the fault behind them is found; and how much of a compressed body is told, as zlib tells nothing
    of a piece in which it finds a fault, and the bound of what it unfolds is one of pieces.
    """
    if not (one.failure and other.failure):
        return one == other
    if one.status == other.status == 0 or b"content-encoding" in {name.lower() for name, _ in one.headers}:
        return True
    if wanted == "pieces":
        return one._replace(payloads=()) == other._replace(payloads=())
    return one == other


def check(seeds: Sequence[bytes], case: int) -> None:
    """Run one case; raises Broken, or what was raised that is not declared."""
    chance = random.Random(case)
    data = mutated(seeds, chance)
    for wanted in WAYS:
        whole = read([data], wanted)
        pieces = cut(data, chance)
        apart = read(pieces, wanted)
        if not alike(whole, apart, wanted):
            raise Broken(f"{wanted}: read otherwise in pieces\n  {whole}\n  {apart}\n  {pieces}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="run this one case")
    chosen = parser.parse_args()
    seeds = honest_and_faulty()
    print(f"{len(seeds)} answers to begin with")
    if chosen.seed is not None:
        check(seeds, chosen.seed)
        return 0
    first = case = random.SystemRandom().randrange(1 << 48)
    ends = time.monotonic() + chosen.seconds
    while time.monotonic() < ends:
        try:
            check(seeds, case)
        except Exception as error:
            print(f"--seed {case} breaks a rule: {error}", file=sys.stderr)
            raise
        case += 1
    print(
        f"{case - first} cases, each read in {len(WAYS)} ways, whole and in pieces: alike, bounded, only declared failures"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
