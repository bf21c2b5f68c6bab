"""Hedging (`hedge`): a stream whose first token is late is asked of a second replica too, and who speaks first is heard.

The other is closed at once, which ends its work. When a first token is late, and how often it may be asked for twice,
is the group's to say (`replicas/hedging`).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import queue
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vllm_connect.client.replies import ErrorInAnswer, NotAnAnswer, reader
from vllm_connect.client.seen import Seen
from vllm_connect.dispatch import Call
from vllm_connect.dispatch.replica_set import Visit
from vllm_connect.dispatch.wire_sender import Sent
from vllm_connect.errors import Partial
from vllm_connect.outcome import Attempt, judge
from vllm_connect.wire.exchange import Exchange
from vllm_connect.wire.failures import ConnectionLost, WireFailure

__all__ = ["asent_to_first", "can_be_hedged", "sent_to_first"]


def can_be_hedged(seen: Seen) -> bool:
    """Whether this attempt for a stream may be one of two: the first of a call to several replicas."""
    call = seen.prepared.call
    return seen.client._settings.hedge and call.tries == 1 and call.visit is not None and not call.is_pinned


class _Racer:
    """One of the two attempts, up to its first event: its answer, or what failed; `has_spoken` once that event is there."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.sent: Sent | None = None
        self.error: BaseException | None = None
        self.has_spoken = False
        self._exchange: Any = None
        self._has_left = False
        self._lock = threading.Lock()

    @property
    def call(self) -> Call:
        return self.seen.prepared.call

    @property
    def is_stream(self) -> bool:
        return self.seen.has_answer and self.sent is not None and self.sent.exchange.is_stream

    @property
    def _has_failed(self) -> bool:
        """Whether the first event is an error, or none of an answer: who says that has not spoken first."""
        assert self.sent is not None
        try:
            reader(self.seen.prepared.answer)(self.sent.exchange.unread[0])
        except (ErrorInAnswer, NotAnAnswer):
            return True
        return False

    def run(self) -> None:
        """Make the attempt, in a thread of its own."""
        try:
            self.seen.sent = self.sent = self.seen.sending(self._begun)
            if self.is_stream:
                self.has_spoken = self.sent.exchange.more() and not self._has_failed
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self.error = self._told(error)

    async def arun(self) -> None:
        """Do the same in a task."""
        try:
            self.seen.sent = self.sent = await self.seen.asending()
            if self.is_stream:
                self.has_spoken = await self.sent.exchange.more() and not self._has_failed
        except asyncio.CancelledError:
            self.leave()
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            self.error = self._told(error)

    def _told(self, error: BaseException) -> BaseException:
        if self.sent is None or not isinstance(error, WireFailure | OSError):
            return error
        broke = Attempt(phase="answer", has_end_mark=False)
        told = self.seen.failed(error, None, Partial(), broke)
        told.__cause__ = error
        return told

    def _begun(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchange = exchange
            if not self._has_left:
                return
        exchange.close()  # type: ignore[attr-defined]  # of either shell
        raise ConnectionLost("another replica was faster")

    def leave(self) -> None:
        """Close the connection, which ends the server's work; what is then raised in its thread is heard by nobody."""
        with self._lock:
            self._has_left = True
            exchange = self._exchange if self.sent is None else self.sent.exchange
        if exchange is not None:
            exchange.close()

    def tell_replica(self) -> None:
        """Tell the replica how it did, where that was not well: a slow one has done nothing wrong."""
        visit, error = self.call.visit, self.error
        if error is None and self.sent is not None and not self.is_stream:
            error = self.seen.refusal()
        attempt = getattr(error, "attempt", None)
        if visit is None:
            return
        if isinstance(attempt, Attempt):
            visit.end(judge(attempt))
        else:
            visit.leave()


def _is_started(racer: _Racer, told: queue.SimpleQueue[_Racer]) -> bool:
    """Make an attempt in a thread of its own, which tells of its end; return whether there is a thread for it."""

    def race() -> None:
        racer.run()
        told.put(racer)

    running = threading.Thread(target=contextvars.copy_context().run, args=(race,), daemon=True)
    try:
        running.start()
    except RuntimeError:  # no more threads, or the interpreter is about to end
        return False
    return True


def sent_to_first(seen: Seen) -> Sent:
    """Make the first attempt of a stream, maybe with a second beside it; return the answer of who speaks first.

    The call is then at the replica of that one. Raises what a single attempt would.
    """
    after = seen.prepared.call.replicas.group.hedge_after()
    if math.isinf(after):
        return seen.sending()
    told: queue.SimpleQueue[_Racer] = queue.SimpleQueue()
    racers = [_first(seen)]

    try:
        if not _is_started(racers[0], told):
            return seen.sending()
        try:
            told.get(timeout=after)
        except queue.Empty:
            rival = _rival(seen)
            if rival is not None:
                racers.append(rival)
                if not _is_started(rival, told):
                    racers.pop().tell_replica()
            if not told.get().has_spoken and len(racers) > 1:
                told.get()
    except BaseException:
        _leave_all(racers)
        raise
    return _settled(seen, racers)


async def asent_to_first(seen: Seen) -> Sent:
    """Do the same for an async client."""
    after = seen.prepared.call.replicas.group.hedge_after()
    if math.isinf(after):
        return await seen.asending()
    racers = [_first(seen)]
    tasks = {asyncio.create_task(racers[0].arun())}
    try:
        done, waiting = await asyncio.wait(tasks, timeout=after)
        if not done:
            rival = _rival(seen)
            if rival is not None:
                racers.append(rival)
                waiting.add(asyncio.create_task(rival.arun()))
            tasks |= waiting
            while waiting and not any(racer.has_spoken for racer in racers):
                _done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    except BaseException:
        for task in tasks:
            task.cancel()
        _leave_all(racers)
        raise
    return _settled(seen, racers)


def _first(seen: Seen) -> _Racer:
    """Return the first attempt, seen by itself: where it is the slower one, its thread may end after all is settled."""
    return _Racer(Seen(seen.client, seen.prepared))


def _rival(seen: Seen) -> _Racer | None:
    """Return the attempt at a second replica, None where there is none for it."""
    call, clock = seen.prepared.call, seen.client._clock
    replicas, subject, now = call.replicas, call.subject, clock()
    if not replicas.group.may_hedge(call.member.name, now, subject.model):
        return None
    member = replicas.pick(
        now, key=subject.key, model=subject.model, avoid={call.member.name}, home=call.home
    )
    visit = Visit(replicas.group, member.name, subject.model, clock)
    if member is call.member:
        visit.leave()
        return None
    second = replace(seen.prepared, call=_second(call))
    second.call.member, second.call.visit = member, visit
    return _Racer(Seen(seen.client, second))


def _second(call: Call) -> Call:
    second = Call(
        call.timers,
        call.max_retries,
        call.streamed,
        call.replicas,
        call.home,
        call.started,
        call.subject,
        tries=call.tries,
    )
    second.tried = call.tried
    return second


def _settled(seen: Seen, racers: Sequence[_Racer]) -> Sent:
    """Have the call be that of who spoke first, or else of the first; tell and leave the other."""
    first = racers[0]
    winner = next((racer for racer in racers if racer.has_spoken), first)
    for other in racers:
        if other is not winner:
            other.leave()
            other.tell_replica()
    if winner is not first:
        call = first.call
        call.member, call.visit = winner.call.member, winner.call.visit
    seen.take(winner.sent)
    if winner.error is not None:
        raise winner.error
    assert winner.sent is not None
    return winner.sent


def _leave_all(racers: Sequence[_Racer]) -> None:
    for racer in racers:
        racer.leave()
        with contextlib.suppress(Exception):
            racer.tell_replica()
