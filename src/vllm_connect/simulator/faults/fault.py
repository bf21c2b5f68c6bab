"""A fault as a value: its name, what it is for, and the script it makes of an honest answer."""

import contextlib
import difflib
import inspect
import itertools
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

from vllm_connect.simulator.exchange import Response, Stream
from vllm_connect.simulator.script import Exchange, Script

Value = int | float | str | bool
Target = Literal["server", "connection", "any", "whole", "json", "stream", "reply"]
# What a value's text may have as it is: all but the semicolon, which ends it, blanks, and the escape itself.
_PLAIN: Final = "".join(set(string.punctuation) - set("%;"))
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class FaultError(ValueError):
    """A fault that does not exist, does not take such a parameter, or does not fit the answer."""


def _is_json(exchange: Exchange) -> bool:
    answer = exchange.answer
    return isinstance(answer, Response) and answer.status == HTTPStatus.OK and answer.body.startswith(b"{")


def _is_stream(exchange: Exchange) -> bool:
    answer = exchange.answer
    typed = dict(answer.headers).get(b"content-type", b"")
    return (
        isinstance(answer, Stream)
        and answer.status == HTTPStatus.OK
        and typed.startswith(b"text/event-stream")
    )


class _Applies(NamedTuple):
    """What a fault of one target can be applied to, and how that is called."""

    words: str
    fits: Callable[[Exchange], bool]


TARGETS: Final[Mapping[Target, _Applies]] = {
    "server": _Applies("the whole server", lambda _: False),
    "connection": _Applies("a new connection", lambda _: False),
    "any": _Applies("any answer", lambda _: True),
    "whole": _Applies("an answer in one piece", lambda exchange: isinstance(exchange.answer, Response)),
    "json": _Applies("a JSON object that is answered with 200", _is_json),
    "stream": _Applies("a stream of events", _is_stream),
    "reply": _Applies(
        "a JSON object or a stream, answered with 200",
        lambda exchange: _is_json(exchange) or _is_stream(exchange),
    ),
}


class Parameter(NamedTuple):
    """What a fault takes: a number of it is never negative."""

    name: str
    type: type[Value]
    default: Value

    def read(self, value: object) -> Value:
        """A value as given in code, or the text of one."""
        made = self._of_its_type(value)
        if made is None:
            raise FaultError(
                f"{self.name}={value!r} of a fault: expected {self.type.__name__}, as in {self.name}={self.default}"
            )
        if isinstance(made, int | float) and not made >= 0:
            raise FaultError(f"{self.name}={value!r} of a fault: expected 0 or more")
        return made

    def _of_its_type(self, value: object) -> Value | None:
        if type(value) is self.type:
            return value
        if self.type is float and type(value) is int:
            return float(value)
        if self.type is bool and isinstance(value, str):
            return _TRUTHS.get(value.lower())
        with contextlib.suppress(ValueError):
            return self.type(value) if isinstance(value, str) else None
        return None


@dataclass(frozen=True)
class Fault:
    """
    One named fault.

    `rows` are its lines in the catalogue of faults, `does` and `client` say what it does and what an excellent client
    makes of it, `target` what it applies to. `script` makes it: for an answer from the exchange and the parameters,
    for a server or a connection from the parameters alone. The engine works for it unless it `refuses`.
    """

    name: str
    rows: tuple[int, ...]
    target: Target
    does: str
    client: str
    script: Callable[..., Script]
    refuses: bool = False

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it takes, with defaults: the keyword-only arguments of its script."""
        taken = inspect.signature(self.script).parameters.values()
        return tuple(
            Parameter(one.name, one.annotation, one.default)
            for one in taken
            if one.kind is inspect.Parameter.KEYWORD_ONLY
        )


class Chosen(NamedTuple):
    """A fault with its parameters, ready to be played."""

    fault: Fault
    given: Mapping[str, Value]

    def __str__(self) -> str:
        given = (f"{name}={quote(str(value), safe=_PLAIN)}" for name, value in self.given.items())
        return "; ".join((self.fault.name, *given))

    @property
    def path(self) -> str:
        """How a path asks for it."""
        return "/fault/" + quote(str(self).replace("; ", ";"), safe=";=")

    def script_for(self, exchange: Exchange) -> Script:
        """The script for one exchange; a FaultError where the answer is of another kind."""
        applies = TARGETS[self.fault.target]
        if not applies.fits(exchange):
            request = exchange.request
            raise FaultError(
                f"The fault `{self.fault.name}` applies to {applies.words},"
                f" and {request.method} {request.path} was answered otherwise."
            )
        script = iter(self.fault.script(exchange, **self.given))
        # A script that is a generator looks the answer over before its first action: now, not while it is sent.
        return itertools.chain(tuple(itertools.islice(script, 1)), script)

    def script_alone(self) -> Script:
        """The script of what needs no exchange."""
        return self.fault.script(**self.given)


def choose(faults: Mapping[str, Fault], name: str, parameters: Mapping[str, object]) -> Chosen:
    """Find a fault and check its parameters; a FaultError names the nearest name."""
    fault = faults.get(name)
    if fault is None:
        raise FaultError(f"The simulator has no fault `{name}`.{_nearest(name, faults)}")
    known = {parameter.name: parameter for parameter in fault.parameters}
    for given in parameters:
        if given not in known:
            takes = ", ".join(known) or "nothing"
            raise FaultError(
                f"The fault `{name}` takes no `{given}`.{_nearest(given, known) or f' It takes {takes}.'}"
            )
    return Chosen(fault, {given: known[given].read(value) for given, value in parameters.items()})


def split(text: str) -> tuple[str, dict[str, str]]:
    """`name; key=value; key=value` as a name and its parameters' texts; in a value, `%3B` stands for a semicolon."""
    name, *pairs = (part.strip() for part in text.split(";"))
    parameters = {}
    for pair in filter(None, pairs):
        key, equals, value = pair.partition("=")
        if not equals:
            raise FaultError(f"`{pair}` of the fault `{name}`: expected key=value")
        parameters[key.strip()] = unquote(value.strip())
    return name, parameters


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def inapplicable(exchange: Exchange, lacks: str) -> FaultError:
    """What an edit raises where the answer has nothing that it could change."""
    request = exchange.request
    return FaultError(f"The fault does not apply: the answer to {request.method} {request.path} has {lacks}.")
