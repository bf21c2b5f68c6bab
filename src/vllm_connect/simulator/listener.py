"""The server's address: bound from the start, listening, refusing, or behind a backlog that is full."""

import asyncio
import contextlib
import ipaddress
import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vllm_connect.simulator.options import Options

_BACKLOG: Final = 1024
_MOST_FILLERS: Final = 16
_HANDSHAKE_SECONDS: Final = 0.05
_TURNS_OF_ACCEPTING: Final = 3


class Listener:
    """One address of one server; a socket that is bound but does not listen refuses, and keeps the port its own."""

    def __init__(self, options: Options, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._options = options
        self._protocol = protocol
        self._tls = _tls(options)
        self._socket = self._bound(options.port)
        self._loop = asyncio.get_running_loop()
        self._changing = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._fillers: list[socket.socket] = []
        self.port: int = 0 if options.uds else self._socket.getsockname()[1]

    async def listen(self) -> None:
        """Accept connections."""
        async with self._changing:
            if self._server:
                return
            if self._fillers:
                await self._refuse()
            make = self._loop.create_unix_server if self._options.uds else self._loop.create_server
            # In two steps, the first of which never waits: who cancels this leaves no server that nobody knows.
            self._server = await make(
                self._protocol, sock=self._socket, ssl=self._tls, backlog=_BACKLOG, start_serving=False
            )
            await self._server.start_serving()

    async def refuse(self) -> None:
        """Refuse connections, as a server does that is bound but still loads its model."""
        async with self._changing:
            await self._refuse()

    async def clog(self) -> None:
        """Leave connections unanswered: nobody accepts, and the backlog is full."""
        async with self._changing:
            await self._refuse()
            self._socket.listen(0)
            while len(self._fillers) < _MOST_FILLERS and self._has_room():
                pass

    async def close(self) -> None:
        """Give the address up."""
        async with self._changing:
            await self._let_go()
            if self._options.uds:
                _remove_socket(Path(self._options.uds))

    async def _refuse(self) -> None:
        await self._let_go()
        self._socket = self._bound(self.port)

    async def _let_go(self) -> None:
        if self._server:
            # What has been accepted becomes a connection first: CPython fails to make one of a closed server's.
            self._loop.remove_reader(self._socket)
            for _ in range(_TURNS_OF_ACCEPTING):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        for one in (*self._fillers, self._socket):
            one.close()
        self._fillers.clear()

    def _bound(self, port: int) -> socket.socket:
        options = self._options
        if options.uds:
            _remove_socket(Path(options.uds))
            made = socket.socket(socket.AF_UNIX)
        else:
            # By its full name: asyncio sets TCP_NODELAY only on sockets that say that they are TCP.
            made = socket.socket(_family(options.host), socket.SOCK_STREAM, socket.IPPROTO_TCP)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(options.uds or (options.host, port))
        except OSError as error:
            made.close()
            address = options.uds or f"{options.host}:{port}"
            reason = (error.strerror or str(error)).lower()
            raise OSError(error.errno, f"{address} cannot be listened on: {reason}") from None
        made.setblocking(False)
        return made

    def _has_room(self) -> bool:
        """Put one more connection into the backlog, and tell whether it went in."""
        filler = socket.socket(self._socket.family)
        filler.setblocking(False)
        self._fillers.append(filler)
        if filler.connect_ex(self._socket.getsockname()) == 0:
            return True
        _, connected, _ = select.select([], [filler], [], _HANDSHAKE_SECONDS)
        return bool(connected) and filler.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def _remove_socket(path: Path) -> None:
    if path.is_socket():
        path.unlink()


def _family(host: str) -> socket.AddressFamily:
    with contextlib.suppress(ValueError):
        return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET  # noqa: PLR2004
    return socket.AF_INET


def _tls(options: Options) -> ssl.SSLContext | None:
    """The certificate as uvicorn loads it, or none; files that are missing or wrong are named."""
    if not options.ssl_certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.VerifyMode(options.ssl_cert_reqs)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile)
        if options.ssl_ca_certs:
            context.load_verify_locations(options.ssl_ca_certs)
    except OSError as error:
        given = (options.ssl_certfile, options.ssl_keyfile, options.ssl_ca_certs)
        files = ", ".join(str(name) for name in given if name)
        raise ValueError(f"the TLS files {files} cannot be loaded: {error}") from error
    return context
