"""The wire on blocking sockets: one socket per call under way, a pool of idle ones, any number of threads."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from vllm_connect.settings import Limits, Timers
from vllm_connect.wire.answer import AnswerReader
from vllm_connect.wire.exchange import Exchange, Wanted
from vllm_connect.wire.failures import ConnectFailed, ConnectionLost, NoPlace, TimerExpired
from vllm_connect.wire.forks import forget_in_children
from vllm_connect.wire.keeping import KEEP_ALIVE, LONG_ENOUGH_TO_DIE, RACE, TAIL
from vllm_connect.wire.opening import open_socket
from vllm_connect.wire.probe import probe
from vllm_connect.wire.pulse import PATIENCE, Pulse
from vllm_connect.wire.request import Outgoing
from vllm_connect.wire.route import Route
from vllm_connect.wire.timing import Timing

__all__ = ["BlockingExchange", "BlockingWire"]

MILLISECONDS: Final = 1000.0
# How long one read waits before the timers are looked at, as the kernel takes it.
NAP: Final = 0.1
NAP_TIMEVAL: Final = struct.pack("@ll", 0, int(NAP * 1_000_000))
# What one read takes at most.
PIECE: Final = 64 * 1024


class BlockingWire:
    """Connections to one server, for any number of threads.

    `judge` is shown the address of each new connection before a byte is written, and may raise. A server that is
    silent for `patience` seconds is asked on the side whether it lives; see `Pulse`.
    """

    def __init__(
        self,
        route: Route,
        limits: Limits,
        judge: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self.route = route
        self.limits = limits
        self.clock = clock
        self.pulse = Pulse(patience)
        self._judge = judge
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()
        self._places = _Places(limits.connections)
        self._is_closed = False
        # Holds all sockets for as long as the wire lives: in a ring of garbage they would go in any order.
        weakref.finalize(self, _close_all, self._idle, self._busy)
        forget_in_children(self)

    def send(
        self,
        request: Outgoing,
        timers: Timers,
        deadline: float,
        wanted: Wanted,
        begun: Callable[[BlockingExchange], None] | None = None,
    ) -> BlockingExchange:
        """Send a request; return its exchange, answered: complete, or for a stream begun.

        `deadline` is a moment of the clock. `begun` is given each exchange before it waits: another thread may close
        it, which ends that wait. Raises WireFailure, OSError, ssl.SSLError, and what `judge`
        raises. Whoever takes a stream must close it or read it to its end.
        """
        connection = self._take(timers, deadline)
        is_used, sent = connection.is_used, self.clock()
        exchange = BlockingExchange(self, connection, wanted, Timing(timers, deadline, sent))
        if begun is not None:
            begun(exchange)
        try:
            exchange.ask(request)
        except (ConnectionLost, ConnectionError) as lost:
            is_late = self.clock() - sent > RACE
            if not is_used or exchange.has_begun or request.more is not None or is_late:
                raise
            # A kept connection ended before the first byte: the server did not see the request. Once, for free.
            fresh = self._take_fresh(timers, deadline)
            if fresh is None:  # nobody is there any more: it may be this request that the server ended by
                raise lost from None
            exchange = BlockingExchange(self, fresh, wanted, Timing(timers, deadline, self.clock()))
            if begun is not None:
                begun(exchange)
            exchange.ask(request)
        if self.pulse.is_unknown and exchange.answer is not None:
            self.pulse.learn(exchange.answer.headers)
        return exchange

    def _take_fresh(self, timers: Timers, deadline: float) -> _Connection | None:
        """Return a new connection, None where none comes about."""
        try:
            return self._take(timers, deadline, is_fresh=True)
        except ConnectFailed:
            return None

    def look(self, silent_since: float) -> None:
        """Ask on the side whether the server lives, if it is time to."""
        now = self.clock()
        if self.pulse.ask(silent_since, now):
            # In a thread of its own: the one that waits must hear its answer and keep its deadline meanwhile.
            asking = threading.Thread(
                target=probe, args=(self.route, self._judge, self.pulse, now, self.clock), daemon=True
            )
            try:
                asking.start()
            except RuntimeError:  # no more threads, or the interpreter is about to end
                self.pulse.tell(now, "nothing")

    def _take(self, timers: Timers, deadline: float, *, is_fresh: bool = False) -> _Connection:
        if not self._places.take(deadline, self.clock):
            raise NoPlace
        try:
            connection = (None if is_fresh else self._kept()) or self._open(timers, deadline)
        except BaseException:
            self._places.give()
            raise
        self._busy.add(connection)
        return connection

    def _kept(self) -> _Connection | None:
        """Return an idle connection that is alive."""
        now = self.clock()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_alive(now):
                return connection
            connection.close()

    def _open(self, timers: Timers, deadline: float) -> _Connection:
        # An address that is written as a number is judged before anything happens: a proxy would hide it later.
        self._judge(self.route.endpoint.connects_to)
        now = self.clock()
        due = deadline if timers.connect is None else min(now + timers.connect, deadline)
        try:
            sock = open_socket(self.route, deadline=due, clock=self.clock, judge=self._judge)
        except TimeoutError:
            if self.clock() < due:  # the system's own limit, not ours
                raise ConnectFailed("timed out") from None
            raise TimerExpired("total" if due == deadline else "connect") from None
        except OSError as error:
            raise ConnectFailed(str(error)) from error
        return _Connection(sock, AnswerReader(self.limits))

    def finish(self, connection: _Connection, *, is_reusable: bool) -> None:
        """Take a connection back: keep it where it may carry another request, close it else."""
        self._busy.discard(connection)
        if is_reusable and not self._is_closed:
            connection.is_used = True
            connection.kept_since = self.clock()
            self._tidy(connection.kept_since)
            self._idle.append(connection)
        else:
            connection.close()
        self._places.give()

    def _tidy(self, now: float) -> None:
        """Close what lay idle for too long; oldest first, and another thread may be faster."""
        idle = self._idle
        try:
            while not idle[0].is_young(now):
                idle.popleft().close()
        except IndexError:
            return

    def close(self) -> None:
        """Close all connections; streams that are being read end as lost."""
        self._is_closed = True
        for connection in self._busy.copy():
            connection.wake()
        _close_all(self._idle, self._busy)

    @property
    def has_alternative(self) -> Callable[[], bool]:
        """Tells whether another server could do the work; set by who knows of others."""
        return self.pulse.has_alternative

    @has_alternative.setter
    def has_alternative(self, has_alternative: Callable[[], bool]) -> None:
        self.pulse.has_alternative = has_alternative

    def forget(self) -> None:
        """Leave all connections to the process that this one was forked from."""
        _close_all(self._idle, self._busy)  # this process's copies only; nothing is said to the server
        self.pulse.forget()
        self._places = _Places(self.limits.connections)


class _Places:
    """How many connections may be in use at once: a semaphore whose fast way is one lock, and no Python below it."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._waiting = 0
        # Taken twice by one thread where a collection drops a stream while it takes a place, and gives one back within.
        self._lock = threading.RLock()
        self._given = threading.Condition(self._lock)

    def take(self, deadline: float, clock: Callable[[], float]) -> bool:
        """Take a place, waiting for one until a moment of the clock; return whether there was one."""
        with self._lock:
            if not self._free and not self._wait(deadline, clock):
                return False
            self._free -= 1
        return True

    def _wait(self, deadline: float, clock: Callable[[], float]) -> bool:
        self._waiting += 1
        try:
            while not self._free:
                remaining = deadline - clock()
                if remaining <= 0:
                    return False
                self._given.wait(None if math.isinf(remaining) else remaining)
        finally:
            self._waiting -= 1
        return True

    def give(self) -> None:
        """Give a place back; one that was taken before this process was forked is beyond the most, and falls away."""
        with self._lock:
            self._free = min(self._free + 1, self._most)
            if self._waiting:
                self._given.notify()


def _close_all(idle: deque[_Connection], busy: set[_Connection]) -> None:
    for connections in (idle, busy):
        with contextlib.suppress(IndexError, KeyError):  # another thread may take one meanwhile
            while True:
                connections.pop().close()


class _Connection:
    """A socket; a plain one is read in naps, so that what comes soon costs one call of the system's.

    A nap is the kernel's own limit for one read; `arrival` waits for what is due sooner. TLS reads ahead, so that its
    socket may be silent with an answer at hand: there the socket has a timeout, and no `arrival`.
    """

    __slots__ = ("arrival", "is_used", "kept_since", "reader", "sock")

    def __init__(self, sock: socket.socket, reader: AnswerReader) -> None:
        self.sock = sock
        self.arrival: select.poll | None = None
        if not isinstance(sock, ssl.SSLSocket):
            sock.setblocking(True)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, NAP_TIMEVAL)
            self.arrival = select.poll()
            self.arrival.register(sock.fileno(), select.POLLIN)
        self.reader = reader
        self.is_used = False
        self.kept_since = 0.0

    def is_young(self, now: float) -> bool:
        return now - self.kept_since < KEEP_ALIVE

    def is_alive(self, now: float) -> bool:
        """Whether an idle connection can be used: young, and silent, as anything to read would be its end."""
        if not self.is_young(now):
            return False
        return now - self.kept_since < LONG_ENOUGH_TO_DIE or not _readable(self.sock)

    def wake(self) -> None:
        """End what another thread waits for here: while it does, closing alone tells neither it nor the server."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # below TLS, which has its own

    def close(self) -> None:
        self.reader.release()
        self.sock.close()


class BlockingExchange(Exchange):
    """An exchange whose reader waits in its own thread."""

    __slots__ = ("_connection", "_look_at", "_to_give_back", "_wire")

    def __init__(self, wire: BlockingWire, connection: _Connection, wanted: Wanted, timing: Timing) -> None:
        super().__init__(connection.reader, wire.limits, wanted, timing)
        self._look_at = timing.silent_since + wire.pulse.patience
        self._wire = wire
        self._connection: _Connection | None = connection
        # Taken out by who gives the connection back: two threads may close at once, and given back twice it would carry
        # two calls.
        self._to_give_back = [connection]

    def ask(self, request: Outgoing) -> None:
        """Send the request and wait for the answer; raises what prevents it.

        An answer that is complete gives its connection back.
        """
        try:
            self._write(request)
            while self.answer is None and not self.is_done:
                self._receive()
        except BaseException:
            self.close()
            raise
        if self.is_done and not (self.is_stream and self.unread):
            self.close()
        if self.answer is None:
            raise self.failure or ConnectionLost("another thread closed it")

    def more(self) -> bool:
        """Wait for something unread; return False at the end, raise what ended it too early."""
        if not self.is_done:
            # Nobody read meanwhile: the time that took is the reader's.
            self.timing.resume(self._wire.clock())
        self.resume()
        try:
            while not self.unread and not self.is_done:
                self._receive()
        except BaseException:
            self.close()
            raise
        if self.unread:
            return True
        self.close()
        if self.failure is not None:
            raise self.failure
        return False

    def settle(self) -> None:
        """Take the end of an answer whose end mark was read, so that its connection can be kept."""
        if not self.is_done:
            self.timing.end_by(self._wire.clock() + TAIL)
        while not self.is_done:
            self._receive()
        self.close()

    def close(self) -> None:
        """Be done: the connection is kept if all of the answer was read, else closed, which ends the work."""
        was_done, self.is_done = self.is_done, True
        self._connection = None
        try:
            connection = self._to_give_back.pop()
        except IndexError:
            return
        if not was_done:
            connection.wake()
        self._wire.finish(connection, is_reusable=self.is_reusable)

    def drop(self) -> None:
        """Be done from the garbage collector, which works in any thread."""
        self.close()

    def __del__(self) -> None:
        # A stream that was dropped: its connection goes at once, and with it the server's work.
        if getattr(self, "_connection", None) is not None:
            self.close()

    def _write(self, request: Outgoing) -> None:
        connection = self._connection
        if connection is None:
            return
        sock = connection.sock
        has_left = 0
        try:
            if connection.arrival is not None:
                try:
                    has_left = sock.send(request.encode(), socket.MSG_DONTWAIT)
                except BlockingIOError:
                    pass
                else:
                    if has_left == request.size and request.more is None:
                        return
            sock.settimeout(self._remaining())
            sock.sendall(request.encode()[has_left:])
            if request.more is not None:
                self._write_rest(sock, request)
            if connection.arrival is not None:
                sock.setblocking(True)
        except TimeoutError:
            self._expire()
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a body answers before it has read it: what it says is read next.
            self.is_truncated = True

    def _write_rest(self, sock: socket.socket, request: Outgoing) -> None:
        body: Any = request.more  # an async iterator raises here as it does anywhere
        for piece in body:
            if piece:
                sock.settimeout(self._remaining())
                sock.sendall(request.framed(piece))
        sock.sendall(request.ending)

    def _receive(self) -> None:
        """Take what comes next, within the timers."""
        connection = self._connection
        if connection is None:
            self.end()
            return
        try:
            data = self._read(connection)
        except BlockingIOError:  # a nap is over, and no timer
            return
        except (TimeoutError, ssl.SSLWantReadError):
            self._look()
            return
        except OSError as error:
            if self.has_begun or isinstance(error, ssl.SSLError):
                self.fail(error)
            self.end()
            return
        if not data:
            self.end()
            return
        self.take_in(data)
        now = self._wire.clock()
        if self.has_news:
            self.has_news = False
            self.timing.heard(now)
        if now >= self.timing.deadline and not self.is_done:
            self._expire()

    def _read(self, connection: _Connection) -> bytes:
        """Return what comes; raises TimeoutError at the next timer, BlockingIOError at the end of a nap before it."""
        remaining = self._remaining(self._look_at)
        if connection.arrival is None:
            connection.sock.settimeout(remaining)
        elif remaining is not None and (remaining <= NAP or self.has_all_events):
            has_come = connection.arrival.poll(remaining * MILLISECONDS)
            if not has_come:
                raise TimeoutError
        return connection.sock.recv(PIECE)

    def _look(self) -> None:
        """After a silence: see which timer has run out, or whether the server was found gone."""
        wire, silent_since = self._wire, self.timing.silent_since
        if self.timing.earliest <= self._look_at or self.has_all_events:
            self._expire()
            return
        wire.look(silent_since)
        self._look_at = wire.pulse.next_look(silent_since, wire.clock())
        # Only now: the answer may have come before the next look was set.
        self.check_pulse(wire.pulse)

    def _remaining(self, sooner: float = math.inf) -> float | None:
        """Return the seconds until a timer runs out, or a moment is reached; 0 takes what is there already."""
        remaining = min(self.timing.earliest, sooner) - self._wire.clock()
        if self.has_all_events:
            remaining = min(remaining, TAIL)
        return None if math.isinf(remaining) else max(remaining, 0.0)

    def _expire(self) -> None:
        if not self.check_timers(self._wire.clock()):
            self.fail(TimerExpired("total"))


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
