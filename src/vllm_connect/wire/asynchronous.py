"""The wire on asyncio: a protocol per connection, one pool and one timer per event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Final

from vllm_connect.settings import Limits, Timers
from vllm_connect.wire.answer import AnswerReader
from vllm_connect.wire.exchange import Exchange, Wanted
from vllm_connect.wire.failures import ConnectFailed, ConnectionLost, NoPlace, TimerExpired
from vllm_connect.wire.forks import forget_in_children
from vllm_connect.wire.keeping import KEEP_ALIVE, LONG_ENOUGH_TO_DIE, RACE, TAIL
from vllm_connect.wire.opening import open_transport
from vllm_connect.wire.probe import aprobe
from vllm_connect.wire.pulse import PATIENCE, Pulse
from vllm_connect.wire.request import Outgoing
from vllm_connect.wire.route import Route
from vllm_connect.wire.timing import Timing

__all__ = ["AsyncExchange", "AsyncWire"]

# All timers of a loop are looked at this often, so that a token costs no timer of its own.
SWEEP: Final = 0.1
# A loop that is so late with a timer was held up by a caller's own code, or by a machine that does much else.
STANDSTILL: Final = 0.1


class AsyncWire:
    """Connections to one server: for every event loop a pool of its own.

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
        self.clock = clock
        self.pulse = Pulse(patience)
        self.route = route
        self.limits = limits
        self.judge = judge
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._last: _Pool | None = None
        forget_in_children(self)

    async def send(self, request: Outgoing, timers: Timers, deadline: float, wanted: Wanted) -> AsyncExchange:
        """Send a request; return its exchange, answered: complete, or for a stream begun.

        `deadline` is a moment of the clock. Raises WireFailure, OSError,
        ssl.SSLError, and what `judge` raises. Whoever takes a stream must close it or read it to its end.
        """
        loop = asyncio.get_running_loop()
        pool = self._last
        if pool is None or pool.loop is not loop:
            pool = self._pool_of(loop)
        connection = pool.take_kept() or await pool.take(timers, deadline)
        is_used, sent = connection.is_used, self.clock()
        exchange = connection.begin(request, timers, deadline, wanted)
        try:
            await exchange.answered()
        except (ConnectionLost, ConnectionError) as lost:
            is_late = self.clock() - sent > RACE
            if not is_used or exchange.has_begun or request.more is not None or is_late:
                raise
            # A kept connection ended before the first byte: the server did not see the request. Once, for free.
            fresh = await pool.take_fresh(timers, deadline)
            if fresh is None:  # nobody is there any more: it may be this request that the server ended by
                raise lost from None
            exchange = fresh.begin(request, timers, deadline, wanted)
            await exchange.answered()
        if self.pulse.is_unknown and exchange.answer is not None:
            self.pulse.learn(exchange.answer.headers)
        return exchange

    async def aclose(self) -> None:
        """Close the connections of this loop; streams that are being read end as lost."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        self._last = None
        if pool is not None:
            await pool.aclose()

    @property
    def has_alternative(self) -> Callable[[], bool]:
        """Tells whether another server could do the work; set by who knows of others."""
        return self.pulse.has_alternative

    @has_alternative.setter
    def has_alternative(self, has_alternative: Callable[[], bool]) -> None:
        self.pulse.has_alternative = has_alternative

    def forget(self) -> None:
        """Leave all connections to the process that this one was forked from."""
        _left_to_parents.append(self._pools)
        self._pools = {}
        self._last = None
        self.pulse.forget()

    def _pool_of(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        pool = self._pools.get(loop)
        if pool is None:
            for other in tuple(self._pools):  # in place: other threads, with loops of their own, do the same
                if other.is_closed():
                    self._pools.pop(other, None)
            pool = self._pools[loop] = _Pool(
                loop, self.clock, self.route, self.limits, self.judge, pulse=self.pulse
            )
        self._last = pool
        return pool


_left_to_parents: list[Any] = []


class _Pool:
    """The connections of one loop: idle ones, a count of those in use, and who waits for a place."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        route: Route,
        limits: Limits,
        judge: Callable[[str], None],
        *,
        pulse: Pulse,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.limits = limits
        self._route = route
        self._judge = judge
        self.sweep = _Sweep(loop, clock, pulse, lambda asked_at: aprobe(route, judge, pulse, asked_at))
        self.idle: deque[_Connection] = self.sweep.idle
        self._in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._until_loop_ends: AsyncGenerator[None] | None = None

    def take_kept(self) -> _Connection | None:
        """Return an idle connection that is alive, None where there is none, or no place for it."""
        if self._in_use >= self.limits.connections:
            return None
        connection = self._kept(self.clock())
        if connection is not None:
            self._in_use += 1
        return connection

    async def take(self, timers: Timers, deadline: float, *, is_fresh: bool = False) -> _Connection:
        """Return a connection, an idle one unless it must be fresh; raises NoPlace where none becomes free."""
        if self._in_use < self.limits.connections:
            self._in_use += 1
        else:
            await self._wait_for_place(deadline)
        now = self.clock()
        connection = None if is_fresh else self._kept(now)
        if connection is not None:
            return connection
        try:
            return await self._open(timers, deadline, now)
        except BaseException:
            self._give_place()
            raise

    def _kept(self, now: float) -> _Connection | None:
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.is_alive(now):
                connection.pool = self
                return connection
            connection.abort()
        return None

    async def take_fresh(self, timers: Timers, deadline: float) -> _Connection | None:
        """Return a new connection, None where none comes about."""
        try:
            return await self.take(timers, deadline, is_fresh=True)
        except ConnectFailed:
            return None

    async def _open(self, timers: Timers, deadline: float, now: float) -> _Connection:
        if self._until_loop_ends is None:
            self._until_loop_ends = _closing(self.idle, self.sweep.asking)
            await anext(self._until_loop_ends)
        # An address that is written as a number is judged before anything happens: a proxy would hide it later.
        self._judge(self._route.endpoint.connects_to)
        within = math.inf if timers.connect is None else timers.connect
        due = min(now + within, deadline)
        try:
            try:
                return await self._connect(due, now)
            except TimeoutError:
                now = self.clock()
                if due == deadline or now - due < STANDSTILL:
                    raise
                # The loop stood still, and has not seen what came about meanwhile: once more, as on a new day.
                due = min(now + within, deadline)
                return await self._connect(due, now)
        except TimeoutError:
            if self.clock() < due:  # the system's own limit, not ours
                raise ConnectFailed("timed out") from None
            raise TimerExpired("total" if due == deadline else "connect") from None
        except OSError as error:
            raise ConnectFailed(str(error)) from error

    async def _connect(self, due: float, now: float) -> _Connection:
        async with asyncio.timeout(_delay(due - now)):
            _transport, connection = await open_transport(
                self._route, lambda: _Connection(self), judge=self._judge
            )
            return connection

    async def _wait_for_place(self, deadline: float) -> None:
        place = self.loop.create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(_delay(deadline - self.clock())):
                await place
        except TimeoutError:
            raise NoPlace from None
        except BaseException:
            if place.done() and not place.cancelled():
                self._give_place()
            raise

    def put(self, connection: _Connection) -> None:
        """Take a connection back that may carry another request."""
        connection.kept_since = self.clock()
        # The loop holds an idle connection; held in turn, the pool would outlive its client.
        connection.pool = None
        self.idle.append(connection)
        self.sweep.wake()
        self._give_place()

    def drop(self, connection: _Connection) -> None:
        """Close a connection that may not."""
        connection.abort()
        self._give_place()

    def _give_place(self) -> None:
        """Hand a place to who waits longest, or count it free: a newcomer does not come first."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._in_use -= 1

    async def aclose(self) -> None:
        for exchange in tuple(self.sweep.busy):
            exchange.fail(ConnectionLost("the client was closed"))
            exchange.tell()
            exchange.close()
        if self._until_loop_ends is not None:
            await self._until_loop_ends.aclose()
            self._until_loop_ends = None
        await asyncio.sleep(0)  # the transports close their sockets in the loop's next turn


async def _closing(idle: deque[_Connection], asking: set[asyncio.Task[None]]) -> AsyncGenerator[None]:
    """Close idle connections and stop asking when the loop ends, or when the client that kept them is dropped.

    Every loop finishes its asynchronous generators before it closes, and finishes one that nobody holds any
    more: the only word of a loop's end that there is. A dropped client is closed by both at once, so that this
    ends without a pause, in which the other would find it running.
    """
    try:
        yield
    finally:
        while idle:
            idle.pop().abort()
        for task in tuple(asking):
            task.cancel()


class _Sweep:
    """The one timer of a pool: looks at every exchange under way, and tidies idle connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        pulse: Pulse,
        ask: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._pulse = pulse
        self._ask = ask
        # The question that is under way, which a loop would hold by a weak reference alone.
        self.asking: set[asyncio.Task[None]] = set()
        self._next: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        self.busy: set[AsyncExchange] = set()
        self.idle: deque[_Connection] = deque()

    def watch(self, exchange: AsyncExchange, now: float) -> None:
        """Look at an exchange from now on, in time for its earliest timer."""
        self.busy.add(exchange)
        at = min(exchange.timing.earliest, now + SWEEP)
        if self._next is None or at < self._next_at:
            self._set(at, now)

    def wake(self) -> None:
        if self._next is None:
            now = self._clock()
            self._set(now + KEEP_ALIVE, now)

    def _set(self, at: float, now: float) -> None:
        if self._next is not None:
            self._next.cancel()
        # The loop holds a pending timer: by a weak reference, so that a dropped client goes at once.
        self._next_at = at
        self._next = self._loop.call_later(at - now, _look, weakref.ref(self))

    def look(self) -> None:
        now = silent_since = self._clock()
        self._next = None
        soonest = now + SWEEP
        for exchange in tuple(self.busy):
            if exchange.check_timers(now) or exchange.check_pulse(self._pulse):
                exchange.tell()
                exchange.close()
            else:
                soonest = min(soonest, exchange.timing.earliest)
                silent_since = min(silent_since, exchange.timing.silent_since)
        if self._pulse.ask(silent_since, now):
            question = self._loop.create_task(self._ask(now))
            self.asking.add(question)
            question.add_done_callback(self.asking.discard)
        idle = self.idle
        while idle and not idle[0].is_young(now):
            idle.popleft().abort()
        if self.busy:
            self._set(soonest, now)
        elif idle:
            self._set(now + KEEP_ALIVE, now)


def _look(sweep: weakref.ref[_Sweep]) -> None:
    alive = sweep()
    if alive is not None:
        alive.look()


class _Connection(asyncio.Protocol):
    """One connection: hands what arrives to the exchange under way; when idle, whatever arrives ends it."""

    __slots__ = ("_drained", "_idle", "_reader", "exchange", "is_used", "kept_since", "pool", "transport")

    transport: asyncio.Transport

    def __init__(self, pool: _Pool) -> None:
        self.pool: _Pool | None = pool
        self._idle = pool.idle
        self._reader = AnswerReader(pool.limits)
        self.exchange: AsyncExchange | None = None
        self.is_used = False
        self.kept_since = 0.0
        self._drained: asyncio.Future[None] | None = None

    def begin(self, request: Outgoing, timers: Timers, deadline: float, wanted: Wanted) -> AsyncExchange:
        """Write a request; return the exchange that its answer arrives in."""
        pool = self.pool
        assert pool is not None
        now = pool.clock()
        exchange = AsyncExchange(self, self._reader, pool, wanted, Timing(timers, deadline, now))
        self.exchange = exchange
        self.transport.write(request.encode())
        if request.more is not None:
            exchange.sending = pool.loop.create_task(self._send_rest(request, exchange))
        pool.sweep.watch(exchange, now)
        return exchange

    def finish(self, exchange: AsyncExchange) -> None:
        """Keep the connection where it may carry another request, close it else; once per exchange."""
        pool = self.pool
        if self.exchange is not exchange or pool is None:
            return
        self.exchange = None
        self.is_used = True
        pool.sweep.busy.discard(exchange)
        if exchange.is_reusable and not self._is_sending(exchange) and not self.transport.is_closing():
            pool.put(self)
        else:
            pool.drop(self)

    def is_young(self, now: float) -> bool:
        return now - self.kept_since < KEEP_ALIVE

    def is_alive(self, now: float) -> bool:
        """Whether an idle connection can be used: young, and silent, as anything to read would be its end."""
        if self.transport.is_closing() or not self.is_young(now):
            return False
        return now - self.kept_since < LONG_ENOUGH_TO_DIE or not _readable(self.transport)

    def abort(self) -> None:
        self._reader.release()
        # Its loop may be closed, and all its connections with it.
        with contextlib.suppress(RuntimeError):
            self.transport.abort()

    def _is_sending(self, exchange: AsyncExchange) -> bool:
        """Whether the request had not left whole when its answer was complete."""
        if exchange.sending is not None and not exchange.sending.done():
            exchange.sending.cancel()
            return True
        return self.transport.get_write_buffer_size() > 0

    async def _send_rest(self, request: Outgoing, exchange: AsyncExchange) -> None:
        """Write a body that comes in pieces, no faster than the server takes it."""
        try:
            async for piece in _pieces(request.more):
                if self.transport.is_closing():
                    return
                if piece:
                    self.transport.write(request.framed(piece))
                if self._drained is not None:
                    await self._drained
            self.transport.write(request.ending)
        except Exception as error:  # noqa: BLE001 - the caller's own iterator: whatever it raises is told to him
            exchange.fail(error)
            self.finish(exchange)
            exchange.tell()

    # -- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream, as it was asked for

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.abort()
            return
        exchange.take_in(data)
        if exchange.is_done:
            # What is unread is the exchange's; the connection need not wait for its reader.
            self.finish(exchange)
            exchange.tell()
            return
        if exchange.wants_pause and not exchange.is_paused:
            exchange.is_paused = True
            self.transport.pause_reading()
        if exchange.unread or exchange.answer is not None:
            exchange.tell()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        exchange = self.exchange
        if exchange is None:
            with contextlib.suppress(ValueError):  # a pool that was dropped has emptied it
                self._idle.remove(self)
            return
        if exc is not None:
            exchange.fail(exc)
        exchange.end()
        self.finish(exchange)
        exchange.tell()

    def pause_writing(self) -> None:
        assert self.pool is not None
        self._drained = self.pool.loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)


class AsyncExchange(Exchange):
    """An exchange whose reader waits in a coroutine."""

    __slots__ = ("_clock", "_connection", "_loop", "_sweep", "_waiter", "sending")

    def __init__(
        self, connection: _Connection, reader: AnswerReader, pool: _Pool, wanted: Wanted, timing: Timing
    ) -> None:
        super().__init__(reader, pool.limits, wanted, timing)
        self._connection = connection
        self._loop = pool.loop
        self._clock = pool.clock
        self._sweep = pool.sweep
        self._waiter: asyncio.Future[None] | None = None
        self.sending: asyncio.Task[None] | None = None

    async def answered(self) -> None:
        """Wait for the answer; raises what prevents it."""
        try:
            while self.answer is None and not self.is_done:
                await self._news()
        except BaseException:
            self._leave()
            raise
        if self.answer is None:
            assert self.failure is not None
            raise self.failure

    async def more(self) -> bool:
        """Wait for something unread; return False at the end, raise what ended it too early."""
        if self.is_paused and not self.is_done:
            self._connection.transport.resume_reading()
        self.resume()
        try:
            while not self.unread and not self.is_done:
                await self._news()
        except BaseException:
            self._leave()
            raise
        if self.unread:
            return True
        if self.failure is not None:
            raise self.failure
        return False

    async def settle(self) -> None:
        """Take the end of an answer whose end mark was read, so that its connection can be kept."""
        if not self.is_done:
            now = self._clock()
            self.timing.end_by(now + TAIL)
            self._sweep.watch(self, now)
            try:
                while not self.is_done:
                    self.unread.clear()
                    await self._news()
            except BaseException:
                self._leave()
                raise
        self.close()

    def close(self) -> None:
        """Be done: the connection is kept if all of the answer was read, else closed, which ends the work."""
        self.is_done = True
        self._connection.finish(self)
        self.tell()  # another task may be waiting for what comes next

    def drop(self) -> None:
        """Be done from the garbage collector, which works in any thread: the loop's own closes the connection."""
        try:
            is_own = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_own = False
        if is_own:
            self.close()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all its connections with it
            self._loop.call_soon_threadsafe(self.close)

    def tell(self) -> None:
        """Wake who waits."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _news(self) -> asyncio.Future[None]:
        """Return what is done by `tell`; a future, as a coroutine of its own would cost every chunk one more."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def _leave(self) -> None:
        """Be done, as who waited is cancelled."""
        self._waiter = None
        self.close()


async def _pieces(body: Iterable[bytes] | AsyncIterable[bytes] | None) -> AsyncIterator[bytes]:
    if isinstance(body, AsyncIterable):
        async for piece in body:
            yield piece
    else:
        for piece in body or ():
            yield piece


def _delay(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _readable(transport: asyncio.Transport) -> bool:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
