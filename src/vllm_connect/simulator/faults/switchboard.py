"""Which request meets which fault: rules that are turned on and off, and what one request asks for itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from vllm_connect.simulator.exchange import RecordedRequest
from vllm_connect.simulator.faults.fault import (
    TARGETS,
    Chosen,
    Fault,
    FaultError,
    Parameter,
    Value,
    choose,
    split,
)
from vllm_connect.simulator.faults.table import FAULTS
from vllm_connect.simulator.script import Exchange, Script

HEADER: Final = "x-simulator-fault"
_PREFIX: Final = "/fault/"
_APART: Final = ("server", "connection")


@dataclass(frozen=True)
class Rule:
    """
    One fault that is turned on, and for which requests.

    `path` may end in `*`. It meets every `every`-th of its requests, each with `probability` drawn from `seed`, `times`
    at most, and for `lasts` seconds.
    """

    fault: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    path: str = "*"
    times: int | None = None
    every: int = 1
    probability: float = 1.0
    seed: int = 0
    lasts: float | None = None

    @property
    def chosen(self) -> Chosen:
        """The fault with its parameters."""
        return choose(FAULTS, self.fault, self.parameters)

    @property
    def is_of_server(self) -> bool:
        """Whether it begins when it is turned on, and meets no request."""
        return self.chosen.fault.target == "server"


# The limits of a rule, each with an example of a value.
_LIMITS: Final = {
    limit.name: limit
    for limit in (
        Parameter("path", str, "/v1/*"),
        Parameter("times", int, 2),
        Parameter("every", int, 3),
        Parameter("probability", float, 0.5),
        Parameter("seed", int, 1),
        Parameter("lasts", float, 10.0),
    )
}
_WITHOUT: Final[Mapping[str, frozenset[str]]] = {
    "server": frozenset(_LIMITS),
    "connection": frozenset({"path"}),
}


def rule(name: str, /, **given: object) -> Rule:
    """A rule of a fault's name and its parameters and limits together; a FaultError says what is wrong."""
    limits: dict[str, Any] = {
        key: limit.read(given.pop(key)) for key, limit in _LIMITS.items() if key in given
    }
    chosen = choose(FAULTS, name, given)
    for limit in limits.keys() & _WITHOUT.get(chosen.fault.target, ()):
        words = TARGETS[chosen.fault.target].words
        raise FaultError(f"The fault `{name}` is of {words}, which `{limit}` does not limit.")
    for limit in ("times", "every", "lasts"):
        if limits.get(limit) == 0:
            raise FaultError(f"{limit}=0 of the fault `{name}`: expected more than 0")
    if limits.get("probability", 0) > 1:
        raise FaultError(f"probability={limits['probability']} of the fault `{name}`: expected 0 to 1")
    return Rule(name, chosen.given, **limits)


def rule_from(text: str) -> Rule:
    """A rule as text: `name; key=value; …`, with parameters and limits alike."""
    name, given = split(text)
    return rule(name, **given)


@dataclass(frozen=True)
class Meeting:
    """A request that met a fault, or, with a reason, one that its rule had to pass over; a new connection has no path."""

    fault: str
    method: str = ""
    path: str = ""
    passed_over: str = ""


class Met(NamedTuple):
    """What a request met: the fault and its script, if any, and what is to be logged."""

    fault: Fault | None
    script: Script
    meetings: tuple[Meeting, ...] = ()


@dataclass
class _Active:
    """A rule while it is on."""

    rule: Rule
    chosen: Chosen
    until: float
    random: Random
    seen: int = 0
    met: int = 0
    passed_over: str = ""

    def is_over(self, now: float) -> bool:
        return now >= self.until or self.met == self.rule.times

    def draws(self) -> bool:
        """Whether this one of its requests is met: by its number, then by chance."""
        self.seen += 1
        drawn = self.seen % self.rule.every == 0 and self.random.random() < self.rule.probability
        self.met += drawn
        return drawn


@dataclass
class Switchboard:
    """The rules that are on, in the order in which they were turned on; the first that fits is met."""

    _rules: dict[int, _Active] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def turn_on(self, number: int, one: Rule, now: float) -> None:
        """Turn a rule on, to be called by a number."""
        until = math.inf if one.lasts is None else now + one.lasts
        self._rules[number] = _Active(one, one.chosen, until, Random(one.seed))  # noqa: S311 - repeatable

    def turn_off(self, number: int) -> str:
        """Turn a rule off; returns why it never met anything, where it had to pass over something."""
        active = self._rules.pop(number, None)
        return active.passed_over if active and not active.met else ""

    def active(self, now: float) -> tuple[int, ...]:
        """The rules that may still meet something."""
        return tuple(number for number, one in self._rules.items() if not one.is_over(now))

    def greet(self, now: float) -> Met:
        """What a new connection meets."""
        for one in self._on(now):
            if one.chosen.fault.target == "connection" and one.draws():
                return Met(one.chosen.fault, one.chosen.script_alone(), (Meeting(str(one.chosen)),))
        return Met(None, ())

    def meet(self, exchange: Exchange, path: str, now: float) -> Met:
        """What a request meets, whose path is given without root path."""
        passed_over = []
        for one in self._on(now):
            if one.chosen.fault.target in _APART or not fnmatchcase(path, one.rule.path):
                continue
            meeting = Meeting(str(one.chosen), exchange.request.method, path)
            try:
                script = one.chosen.script_for(exchange)
            except FaultError as error:
                one.passed_over = str(error)
                passed_over.append(replace(meeting, passed_over=str(error)))
                continue
            if one.draws():
                return Met(one.chosen.fault, script, (*passed_over, meeting))
        return Met(None, (), tuple(passed_over))

    def _on(self, now: float) -> list[_Active]:
        return [one for one in self._rules.values() if not one.is_over(now)]


class Asked(NamedTuple):
    """A request as it is to be answered, and the fault it asked for itself."""

    request: RecordedRequest
    chosen: Chosen | None = None

    def meet(self, exchange: Exchange, path: str) -> Met:
        """The fault that was asked for; a FaultError where it does not fit the answer."""
        assert self.chosen is not None
        meeting = Meeting(str(self.chosen), exchange.request.method, path)
        return Met(self.chosen.fault, self.chosen.script_for(exchange), (meeting,))


def asked(request: RecordedRequest, root_path: str) -> Asked:
    """Read what a request asks for by header or path; a FaultError says what it cannot have."""
    root, text = "", request.header(HEADER)
    if root_path and request.target.startswith(root_path + _PREFIX):
        root = root_path
    below = request.target.removeprefix(root)
    if below.startswith(_PREFIX):
        segment, _, rest = below.removeprefix(_PREFIX).partition("/")
        request, text = replace(request, target=f"{root}/{rest}"), unquote(segment)
    if text is None:
        return Asked(request)
    chosen = choose(FAULTS, *split(text))
    if chosen.fault.target in _APART:
        words = TARGETS[chosen.fault.target].words
        raise FaultError(
            f"The fault `{chosen.fault.name}` is of {words}, not of one request: turn it on instead."
        )
    return Asked(request, chosen)
