"""The server inside its event loop: what a connection is to do for each request, and what its owner is told."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from random import Random
from typing import Any, Final

from vllm_connect.simulator.connection import Connection
from vllm_connect.simulator.control import (
    Aborted,
    AskActive,
    Command,
    Event,
    Opened,
    Recover,
    ReplyNext,
    SetPace,
    Settle,
    TurnOff,
    TurnOn,
)
from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import Canned, RecordedRequest, Work, json_response
from vllm_connect.simulator.faults import switchboard
from vllm_connect.simulator.faults.fault import FaultError
from vllm_connect.simulator.faults.switchboard import Asked, Met, Rule, Switchboard
from vllm_connect.simulator.listener import Listener
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.refusals import error_body
from vllm_connect.simulator.routes import dispatch
from vllm_connect.simulator.script import (
    Exchange,
    Outage,
    Plan,
    Script,
    canned_script,
    honest,
    paced,
    rereadable,
)

_NOTHING: Final = Met(None, ())
_NO_WORK: Final = Work()


class Service:
    """One run of a server; all of it happens in one event loop."""

    def __init__(self, options: Options, tell: Callable[[Event], None]) -> None:
        self._options = options
        self._tell = tell
        self._engine = Engine(options)
        self._switchboard = Switchboard()
        self._chance = Random(options.jitter_seed)  # noqa: S311 - repeatable on purpose
        self._canned: deque[Canned] = deque()
        self._open: set[Connection] = set()
        self._none_open = asyncio.Event()
        self._listener = Listener(options, lambda: Connection(self, options.keep_alive))
        self._outage_of: int | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it has, whether it listens or not."""
        return self._listener.port

    async def start(self) -> None:
        """Listen, or refuse while it loads."""
        if self._options.loading:
            self._recover_after(self._options.loading)
        else:
            await self._listener.listen()

    async def stop(self) -> None:
        """Stop listening and drop what is open."""
        self._forget_outage()
        await self._listener.close()
        self._drop(by=None)
        if self._open:
            self._none_open.clear()
            await self._none_open.wait()

    async def carry_out(self, command: Command) -> Any:
        """Do what the owner asks."""
        now = time.monotonic()
        match command:
            case TurnOn(number, rule):
                self._switchboard.turn_on(number, rule, now)
                await self._begin_outages_of(number, rule)
            case TurnOff(number):
                if number == self._outage_of:
                    await self._recover()
                return self._switchboard.turn_off(number)
            case AskActive():
                return self._switchboard.active(now)
            case Recover():
                await self._recover()
            case ReplyNext(replies):
                self._canned.extend(replies)
            case SetPace():
                self._engine.options = replace(self._engine.options, **vars(command))
            case Settle():
                pass
        return None

    def opened(self, connection: Connection) -> Script:
        self._tell(Opened())
        self._open.add(connection)
        self._none_open.clear()
        met = self._switchboard.greet(time.monotonic()) if self._switchboard else _NOTHING
        for meeting in met.meetings:
            self._tell(meeting)
        return met.script

    def closed(self, connection: Connection, *, aborted: bool) -> None:
        if aborted:
            self._tell(Aborted())
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()

    def plan(self, request: RecordedRequest, *, keeps: bool) -> Plan:
        self._tell(request)
        if self._canned:
            script = canned_script(self._canned.popleft(), request, keeps=keeps, now=time.time())
            return Plan(script, _NO_WORK)
        try:
            return self._planned(request, keeps=keeps)
        except FaultError as error:
            body = error_body(str(error), "BadRequestError", 400, switchboard.HEADER)
            refused = json_response(body, status=HTTPStatus.BAD_REQUEST)
            return Plan(honest(Exchange(request, refused, keeps, time.time())), _NO_WORK)

    async def admitted(self, work: Work) -> None:
        if work.sequences:
            await self._engine.awake.wait()

    def finished(self, work: Work, *, done: bool) -> None:
        self._engine.end(work, done=done)

    async def begin_outage(self, outage: Outage, *, by: Connection | None) -> None:
        self._forget_outage()
        if outage.how == "refuse":
            await self._listener.refuse()
        else:
            await self._listener.clog()
        if outage.drop:
            self._drop(by=by)
        if outage.seconds < math.inf:
            self._recover_after(outage.seconds)

    def _planned(self, request: RecordedRequest, *, keeps: bool) -> Plan:
        asked = switchboard.asked(request, self._options.root_path)
        exchange = self._honest(asked.request, keeps=keeps)
        met = _NOTHING
        if asked.chosen or self._switchboard:
            exchange = rereadable(exchange)
            met = self._meet(asked, exchange)
        for meeting in met.meetings:
            self._tell(meeting)
        work = _NO_WORK if met.fault and met.fault.refuses else exchange.answer.work
        self._engine.begin(work)
        return Plan(met.script if met.fault else honest(exchange), work)

    def _honest(self, request: RecordedRequest, *, keeps: bool) -> Exchange:
        answer = dispatch(request, self._engine)
        options = self._engine.options
        answer = paced(answer, self._jittered if options.jitter else None, options.sse_keep_alive_interval)
        return Exchange(request, answer, keeps, time.time())

    def _meet(self, asked: Asked, exchange: Exchange) -> Met:
        path = asked.request.path.removeprefix(self._options.root_path)
        if asked.chosen:
            return asked.meet(exchange, path)
        return self._switchboard.meet(exchange, path, time.monotonic())

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + self._engine.options.jitter * self._chance.uniform(-1, 1))

    def _drop(self, *, by: Connection | None) -> None:
        for connection in self._open - {by}:
            connection.close()

    async def _begin_outages_of(self, number: int, rule: Rule) -> None:
        for action in rule.chosen.script_alone() if rule.is_of_server else ():
            assert isinstance(action, Outage)
            await self.begin_outage(action, by=None)
            self._outage_of = number

    def _recover_after(self, seconds: float) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            await self._listener.listen()

        self._recovery = asyncio.get_running_loop().create_task(wait())

    async def _recover(self) -> None:
        self._forget_outage()
        await self._listener.listen()

    def _forget_outage(self) -> None:
        self._outage_of = None
        if self._recovery:
            self._recovery.cancel()
            self._recovery = None
