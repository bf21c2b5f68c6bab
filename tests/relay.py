"""A relay of bytes in front of a server, which cuts the connection of one answer, or holds it, where it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Relay"]

PIECE = 65536


class Relay:
    """A context manager; `cut` and `hold` are for the next answer to a POST of a path, and `made` counts what came of them."""

    def __init__(self, server: str) -> None:
        behind = urlsplit(server)
        self._behind = (behind.hostname or "", behind.port or 80)
        self._marks: list[_Mark] = []
        self._open: list[socket.socket] = []
        self.made = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            _end(one)
        self._thread.join()

    def cut(self, path: str, after: int) -> None:
        """End its connection once so many bytes of it, its head included, have passed."""
        self._marks.append(_Mark(f"POST {path} ".encode(), after, 0.0))

    def hold(self, path: str, seconds: float) -> None:
        """Keep it back so long."""
        self._marks.append(_Mark(f"POST {path} ".encode(), 0, seconds))

    def _accept(self) -> None:
        threads = []
        for client in _accepted(self._listener):
            server = socket.create_connection(self._behind)
            self._open += [client, server]
            threads.append(threading.Thread(target=self._carry, args=(client, server)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry one connection; requests are small enough to begin in a piece of their own."""
        met: list[_Mark] = []
        passed = 0

        def requests() -> None:
            for piece in _pieces(client):
                for mark in [mark for mark in self._marks if piece.startswith(mark.request)]:
                    self._marks.remove(mark)
                    met.append(mark)
                server.sendall(piece)
            _end(server)

        asking = threading.Thread(target=requests)
        asking.start()
        for piece in _pieces(server):
            if met and met[0].seconds:
                self.made += 1
                time.sleep(met.pop().seconds)
            elif met and passed + len(piece) >= met[0].after:
                _send(client, piece[: met[0].after - passed])
                self.made += 1
                break
            passed = passed + len(piece) if met else 0
            _send(client, piece)
        _end(client)
        _end(server)
        asking.join()


@dataclass(frozen=True)
class _Mark:
    request: bytes
    after: int
    seconds: float


def _send(one: socket.socket, piece: bytes) -> None:
    with contextlib.suppress(OSError):  # its reader has left
        one.sendall(piece)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # closed meanwhile
        while True:
            yield listener.accept()[0]


def _pieces(one: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while piece := one.recv(PIECE):
            yield piece


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
