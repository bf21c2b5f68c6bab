"""A relay of bytes in front of a server, which cuts the connection of one answer where it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Relay"]

PIECE = 65536


class Relay:
    """A context manager; `cut(path, after)` ends the next connection with an answer of this path after so many bytes."""

    def __init__(self, server: str) -> None:
        behind = urlsplit(server)
        self._behind = (behind.hostname or "", behind.port or 80)
        self._cuts: list[tuple[bytes, int]] = []
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
        """Cut the next answer to a POST of this path once so many bytes of it, its head included, have passed."""
        self._cuts.append((f"POST {path} ".encode(), after))

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
        left: list[int | None] = [None]

        def requests() -> None:
            for piece in _pieces(client):
                for cut in self._cuts:
                    if piece.startswith(cut[0]):
                        self._cuts.remove(cut)
                        left[0] = cut[1]
                        break
                server.sendall(piece)
            _end(server)

        asking = threading.Thread(target=requests)
        asking.start()
        for piece in _pieces(server):
            if left[0] is not None and left[0] <= len(piece):
                client.sendall(piece[: left[0]])
                self.made += 1
                break
            if left[0] is not None:
                left[0] -= len(piece)
            client.sendall(piece)
        _end(client)
        _end(server)
        asking.join()


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
