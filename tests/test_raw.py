"""Raw exchanges with the stand-in server: bytes out and in as they are, when they came, how it ended."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from vllm_connect.endpoint import Tls, parse_endpoint
from vllm_connect.settings import Limits
from vllm_connect.simulator import Simulator
from vllm_connect.wire.answer import AnswerReader
from vllm_connect.wire.raw import RawExchange, exchange_raw
from vllm_connect.wire.route import Route, route_to

BODY = b'{"model":"qwen","prompt":"Once","max_tokens":8,"stream":true}'
MEBIBYTE = 1 << 20


def request(*headers: bytes, path: bytes = b"/v1/completions", body: bytes = BODY) -> bytes:
    head = (b"POST %b HTTP/1.1" % path, b"host: x", b"content-type: application/json", *headers)
    return b"\r\n".join((*head, b"content-length: %d" % len(body), b"", body))


def exchange(
    route: Route | str, *outgoing: bytes | float, seconds: float = 10, **options: Any
) -> RawExchange:
    if isinstance(route, str):
        route = route_to(parse_endpoint(route), None, {})
    return exchange_raw(
        route,
        outgoing,
        deadline=time.monotonic() + seconds,
        judge=lambda _address: None,
        **{"max_received": MEBIBYTE, **options},
    )


def one_answer() -> Callable[[bytes], bool]:
    """Enough is a whole answer, as the client reads it."""
    reader = AnswerReader(Limits())

    def is_enough(piece: bytes) -> bool:
        reader.feed(piece)
        return reader.is_complete

    return is_enough


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(models=("qwen",)) as simulator:
        yield simulator


@contextmanager
def peer(script: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a server for one connection in a thread; yield its port."""

    def serve() -> None:
        accepted, _ = listener.accept()
        with accepted if tls is None else tls.wrap_socket(accepted, server_side=True) as connected:
            connected.settimeout(10)
            script(connected)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_bytes_go_out_as_they_are_and_come_in_as_they_were(simulator: Simulator) -> None:
    """What is sent is the bytes given, and what came is all of the answer, to the end of the connection."""
    sent = request(b"X-oDD:   spelling", b"connection: close")
    done = exchange(simulator.url, sent[:10], sent[10:50], sent[50:])
    assert (done.sent, done.ended) == (sent, "closed")
    assert done.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert done.data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert (b"X-oDD", b"spelling") in simulator.requests[-1].headers


def test_arrivals_have_their_times(simulator: Simulator) -> None:
    """A pause of the server stands between the arrivals before and after it."""
    simulator.faults.turn_on("stall", after_events=3, seconds=0.5)
    done = exchange(simulator.url, request(b"connection: close"))
    gaps = [later.at - sooner.at for sooner, later in zip(done.received, done.received[1:], strict=False)]
    assert max(gaps) > 0.45
    assert done.received[-1].at <= done.ended_at


def test_pauses_between_pieces_are_kept(simulator: Simulator) -> None:
    """A number among the bytes is the seconds that pass before the next; none is needed at the end."""
    sent = request(b"connection: close")
    done = exchange(simulator.url, sent[:30], 0.2, sent[30:60], 0.2, sent[60:], 0.0)
    assert done.sent == sent
    assert done.received[0].at > 0.4


def test_what_comes_during_a_pause_is_received_then(simulator: Simulator) -> None:
    """Requests are sent on a schedule, answers are taken whenever they come."""
    sent = request()
    done = exchange(simulator.url, sent, 1.0, request(b"connection: close"))
    assert done.received[0].at < 0.9
    assert done.data.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        ("close-unanswered", "closed"),
        ("reset-unanswered", "reset"),
        ("cut", "closed"),
        ("reset", "reset"),
        ("no-answer", "timeout"),
        ("stall", "timeout"),
        ("drip-head; pause=0.2", "timeout"),
        ("endless-error; pause=0.01", "limit"),
        ("not-http", "closed"),
        ("bom", "enough"),
        ("interim; count=3", "enough"),
    ],
)
def test_how_it_ended(simulator: Simulator, fault: str, ended: str) -> None:
    """Whoever ends the connection, and however, it is told; what came before is kept."""
    is_enough = one_answer() if ended == "enough" else None
    done = exchange(
        simulator.url, request(b"x-simulator-fault: " + fault.encode()), seconds=1, is_enough=is_enough
    )
    assert done.ended == ended
    assert len(done.data) <= MEBIBYTE
    assert done.ended_at < 5


def test_the_limit_is_exact(simulator: Simulator) -> None:
    """As much as allowed is received, and an end right there is the server's."""
    sent = request(b"connection: close", b"x-request-id: fixed")
    whole = exchange(simulator.url, sent).data
    assert exchange(simulator.url, sent, max_received=len(whole)).ended == "closed"
    less = exchange(simulator.url, sent, max_received=len(whole) - 1)
    assert (len(less.data), less.ended) == (len(whole) - 1, "limit")


def test_over_a_unix_socket(tmp_path: Path) -> None:
    """A socket's path is an address like any."""
    with Simulator(models=("qwen",), uds=str(tmp_path / "s")) as simulator:
        done = exchange(simulator.url, request(b"connection: close"))
    assert done.data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("size", [3, 5 * MEBIBYTE])
def test_over_tls(tmp_path: Path, size: int) -> None:
    """A server that answers before it has heard all is heard while it is told: neither end waits for the other."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    sent = bytes(size)

    def answer_first(connected: socket.socket) -> None:
        connected.sendall(sent)
        due = size
        while due:
            due -= len(connected.recv(due))

    with peer(answer_first, context) as port:
        route = route_to(parse_endpoint(f"https://localhost:{port}"), Tls(ca=str(tmp_path / "ca.pem")), {})
        done = exchange(route, sent, max_received=2 * size)
    assert (done.sent, done.data, done.ended) == (sent, sent, "closed")


def test_a_server_that_hears_no_more_is_still_read() -> None:
    """An early answer to a body that nobody takes is received, and what was not taken is not told as sent."""

    def refuse(connected: socket.socket) -> None:
        connected.recv(10)
        connected.sendall(b"HTTP/1.1 413 Content Too Large\r\n\r\n")

    with peer(refuse) as port:
        done = exchange(f"http://127.0.0.1:{port}", request(), bytes(16 * MEBIBYTE), 0.05, b"more", seconds=5)
    assert done.data.startswith(b"HTTP/1.1 413")
    assert done.ended == "reset"
    assert len(done.sent) < 16 * MEBIBYTE


def test_a_key_is_not_shown(simulator: Simulator) -> None:
    """What was sent may hold a key, and what came may echo it."""
    done = exchange(simulator.url, request(b"authorization: Bearer my-secret", b"connection: close"))
    assert "my-secret" not in repr(done)
