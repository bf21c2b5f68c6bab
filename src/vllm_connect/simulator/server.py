"""The simulator as its owner sees it: started and stopped, asked what it has seen, told what to do next."""

import contextlib
import inspect
import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from vllm_connect.simulator.control import (
    AskActive,
    Command,
    Record,
    Recover,
    ReplyNext,
    SetPace,
    TurnOff,
    TurnOn,
)
from vllm_connect.simulator.exchange import Canned, RecordedRequest
from vllm_connect.simulator.faults.fault import Value, choose
from vllm_connect.simulator.faults.switchboard import Meeting, Rule, rule, rule_from
from vllm_connect.simulator.faults.table import FAULTS
from vllm_connect.simulator.hosts import Host, ProcessHost, SimulatorDied, ThreadHost
from vllm_connect.simulator.options import Options

_P = ParamSpec("_P")
_S = TypeVar("_S")


def _takes(
    options: Callable[_P, Options],
) -> Callable[[Callable[[_S, Options], None]], Callable[Concatenate[_S, _P], None]]:
    """Let a constructor take every option as an argument of its own, by the names and types of `Options`."""

    def decorate(init: Callable[[_S, Options], None]) -> Callable[Concatenate[_S, _P], None]:
        def __init__(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> None:  # noqa: N807 - it is one
            init(self, options(*args, **kwargs))

        me, *_ = inspect.signature(init).parameters.values()
        signature = inspect.signature(options)
        __init__.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[me, *signature.parameters.values()]
        )
        return __init__

    return decorate


class UnmetFault(UserWarning):
    """A fault was turned off that fitted none of the answers on its path."""


class Simulator:
    """
    A stand-in vLLM server on a real socket; a context manager.

    It takes every option of `Options` by name. It runs in a thread of this process or, with `own_process`, in a process
    of its own, which can be paused and killed, and which ends with this one.
    """

    @_takes(Options)
    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = options.port
        self._from_the_start = tuple(map(rule_from, options.faults))
        self._record = Record()
        self._host: Host | None = None
        self._laid_ready: list[Command] = []
        self._faults = Faults(self)

    @property
    def root_url(self) -> str:
        """The server's address without /v1."""
        options = self.options
        if options.uds:
            return f"unix://{options.uds}"
        host = f"[{options.host}]" if ":" in options.host else options.host
        return f"{options.scheme}://{host}:{self.port}{options.root_path}"

    @property
    def url(self) -> str:
        """The address an OpenAI client takes as its base URL."""
        return self.root_url if self.options.uds else f"{self.root_url}/v1"

    @property
    def faults(self) -> "Faults":
        """Which faults are on, and what has met them."""
        return self._faults

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, as it came."""
        return self._settled().requests

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        return self._settled().connections

    @property
    def aborted(self) -> int:
        """How many answers were given up because their client left."""
        return self._settled().aborted

    @property
    def pid(self) -> int | None:
        """Its own process; None while it has none."""
        return self._host.pid if self._host else None

    def reply_next(self, *replies: Canned) -> None:
        """Queue canned replies for the next requests, whatever they ask."""
        self._ask(ReplyNext(replies))

    def pace(
        self,
        *,
        first_token_delay: float | None = None,
        token_delay: float | None = None,
        jitter: float | None = None,
    ) -> None:
        """Answer the requests to come in another time, in seconds; what is left out stays as it is."""
        given = {"first_token_delay": first_token_delay, "token_delay": token_delay, "jitter": jitter}
        changed = {name: value for name, value in given.items() if value is not None}
        self.options = options = replace(self.options, **changed)  # type: ignore[arg-type]
        self._ask(SetPace(options.first_token_delay, options.token_delay, options.jitter))

    def pause(self) -> None:
        """Stop its own process where it is (SIGSTOP): connections are accepted by the system, and nothing answers."""
        self._process.pause()

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._process.resume()

    def kill(self) -> None:
        """End its own process at once (SIGKILL); what it has seen is still known."""
        self._process.kill()

    def start(self) -> Self:
        """Listen; returns when the socket does, or at once where it is to be `loading`."""
        if self._host is None:
            make = ProcessHost if self.options.own_process else ThreadHost
            host: Host = make(self.options, self._record.take)
            self.port = host.start()
            self._host = host
            ready, self._laid_ready = self._laid_ready, []
            for one in self._from_the_start:
                self.faults.turn_on_rule(one)
            for command in ready:
                host.ask(command)
        return self

    def stop(self) -> None:
        """
        Stop listening, drop what is open, end the thread or process; a second call does nothing.

        Warns with UnmetFault; raises SimulatorDied where its own process had ended by itself.
        """
        for told in self._stop():
            warnings.warn(told, UnmetFault, stacklevel=2)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
            return
        # The error under way is what counts; how the server ended may explain it.
        try:
            self._stop()
        except SimulatorDied as death:
            error.add_note(str(death))

    def _stop(self) -> list[str]:
        host, self._host = self._host, None
        if host is None:
            return []
        told: list[str] = []
        with contextlib.suppress(RuntimeError):  # paused, killed or dead, it cannot tell
            host.settle()
            told = self.faults.turn_all_off(host.ask)
        host.stop()
        return told

    def _ask(self, command: Command) -> Any:
        if self._host is None:
            self._laid_ready.append(command)
            return None
        return self._host.ask(command)

    def _settled(self) -> Record:
        if self._host:
            self._host.settle()
        return self._record

    @property
    def _process(self) -> ProcessHost:
        if isinstance(self._host, ProcessHost):
            return self._host
        raise RuntimeError(
            "only a running Simulator(own_process=True) has a process to pause, resume or kill"
        )


class Faults:
    """The faults of one server: turned on, turned off, and what has met them."""

    def __init__(self, server: Simulator) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._rules: dict[int, Rule] = {}

    def turn_on(self, name: str, /, **given: Any) -> "TurnedOn":
        """
        Let requests meet a fault from now on; returns a context manager that turns it off again.

        Besides the fault's own parameters: `path` (may end in `*`), `times` at most, every `every`-th of its requests, each
        with `probability` drawn from `seed`, and for `lasts` seconds. The first fault turned on that fits an answer is met.
        Raises FaultError, a ValueError, that names what is nearest.
        """
        return self.turn_on_rule(rule(name, **given))

    def turn_on_rule(self, one: Rule) -> "TurnedOn":
        """Let requests meet a fault by a rule that is made already."""
        number = next(self._numbers)
        self._rules[number] = one
        self._server._ask(TurnOn(number, one))
        return TurnedOn(self, number)

    def turn_off(self, name: str | None = None) -> None:
        """
        Turn off the faults of a name, or all, which ends any outage, too.

        Warns with UnmetFault of one that fitted no answer on its path.
        """
        if name is not None:
            choose(FAULTS, name, {})
        for number in [number for number, one in self._rules.items() if name in (None, one.fault)]:
            self.turn_off_number(number)
        if name is None:
            self._server._ask(Recover())

    def turn_off_number(self, number: int) -> None:
        """Turn off what one `turn_on` turned on."""
        if self._rules.pop(number, None) is not None and (told := self._server._ask(TurnOff(number))):
            warnings.warn(told, UnmetFault, stacklevel=3)

    def turn_all_off(self, ask: Callable[[Command], Any]) -> list[str]:
        """Turn all off at the end; returns what there is to warn of."""
        numbers, self._rules = tuple(self._rules), {}
        return [told for told in (ask(TurnOff(number)) for number in numbers) if told]

    @property
    def active(self) -> tuple[Rule, ...]:
        """The faults that may still meet something."""
        numbers = self._server._ask(AskActive()) if self._server._host else self._rules
        return tuple(self._rules[number] for number in numbers)

    @property
    def log(self) -> list[Meeting]:
        """Which request met which fault, and which were passed over because it did not fit, in order."""
        return self._server._settled().meetings

    def url(self, name: str, **parameters: Value) -> str:
        """A base URL under which every request meets this fault; raises FaultError as `turn_on` does."""
        root, path = self._server.root_url, choose(FAULTS, name, parameters).path
        return f"{root}{path}/v1"


class TurnedOn:
    """A fault that is on, as a context manager that turns it off."""

    def __init__(self, faults: Faults, number: int) -> None:
        self._faults = faults
        self._number = number

    def turn_off(self) -> None:
        """Turn it off; warns with UnmetFault where it fitted no answer on its path."""
        self._faults.turn_off_number(self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.turn_off()
