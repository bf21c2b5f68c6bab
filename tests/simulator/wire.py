"""Raw bytes out, raw bytes in: what a server really sends, and how the connection ends."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.simulator.simulated import CHAT, MESSAGES
from vllm_connect.simulator import Simulator

CHUNKED = b"transfer-encoding: chunked"
LAST = b"0\r\n\r\n"
# What stays open is known by its silence; what ends is given time, as a busy machine may take it.
QUIET_SECONDS = 0.4
ENDS_WITHIN = 10.0


@contextlib.contextmanager
def connected(server: Simulator) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        yield connection


def wait_until(seconds: float, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def request(
    target: str = CHAT,
    body: Mapping[str, Any] | None = None,
    headers: tuple[str, ...] = (),
    *,
    method: str | None = None,
    keeps: bool = False,
) -> bytes:
    """One request with an id of its own, so that the same one gets the same answer."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method or ('GET' if body is None else 'POST')} {target} HTTP/1.1",
        "host: x",
        "x-request-id: fixed",
        *headers,
        *([] if keeps else ["connection: close"]),
        *([] if body is None else ["content-type: application/json", f"content-length: {len(content)}"]),
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + content


def chat(**parameters: Any) -> dict[str, Any]:
    return {"messages": MESSAGES, "max_tokens": 8, **parameters}


@dataclass(frozen=True)
class Seen:
    """What came, with the two clocks in it masked, and whether the end was "eof", "reset" or none ("open")."""

    data: bytes
    end: str

    @property
    def head(self) -> list[bytes]:
        return self.data.partition(b"\r\n\r\n")[0].split(b"\r\n")

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def frames(self) -> list[bytes]:
        """The HTTP chunks of the body, which must be whole."""
        frames: list[bytes] = []
        rest = self.body
        while True:
            size, _, rest = rest.partition(b"\r\n")
            frame, rest = rest[: int(size, 16)], rest[int(size, 16) :]
            assert rest[:2] == b"\r\n"
            rest = rest[2:]
            if not frame:
                assert not rest
                return frames
            frames.append(frame)


def masked(data: bytes) -> bytes:
    data = re.sub(rb"date: [^\r]*\r\n", b"date: today\r\n", data)
    return re.sub(rb'("created": ?)\d{10}(?!\d)', rb"\g<1>1234567890", data)


def receive(connection: socket.socket, *, quiet: float = QUIET_SECONDS) -> Seen:
    """Read until the end, or until nothing comes for so long."""
    connection.settimeout(quiet)
    received = []
    end = "eof"
    try:
        while data := connection.recv(1 << 20):
            received.append(data)
    except TimeoutError:
        end = "open"
    except ConnectionResetError:
        end = "reset"
    return Seen(masked(b"".join(received)), end)


def exchange(server: Simulator, sent: bytes, *, quiet: float = QUIET_SECONDS) -> Seen:
    """One request on a connection of its own."""
    with connected(server) as connection:
        connection.sendall(sent)
        return receive(connection, quiet=quiet)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def join(head: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join(head) + b"\r\n\r\n" + body
