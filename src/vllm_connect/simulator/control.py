"""What passes between a simulator's owner and its server, wherever that runs: commands in, events out, as JSON lines."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vllm_connect.simulator.exchange import Canned, Cut, Drop, RecordedRequest, Reply
from vllm_connect.simulator.faults.switchboard import Meeting, Rule
from vllm_connect.simulator.options import Options


@dataclass(frozen=True)
class TurnOn:
    """Turn a fault on, to be called by a number."""

    number: int
    rule: Rule


@dataclass(frozen=True)
class TurnOff:
    """Turn a fault off; answered by why it never met anything, where it had to pass over something."""

    number: int


@dataclass(frozen=True)
class AskActive:
    """Answered by the numbers of the faults that may still meet something."""


@dataclass(frozen=True)
class Recover:
    """Listen again, whatever outage there is."""


@dataclass(frozen=True)
class ReplyNext:
    """Lay replies ready for the next requests."""

    replies: tuple[Canned, ...]


@dataclass(frozen=True)
class SetPace:
    """Answer in another time from now on."""

    first_token_delay: float
    token_delay: float
    jitter: float


@dataclass(frozen=True)
class Settle:
    """Answered once all that happened before has been told."""


Command = TurnOn | TurnOff | AskActive | Recover | ReplyNext | SetPace | Settle


@dataclass(frozen=True)
class Opened:
    """A connection was opened."""


@dataclass(frozen=True)
class Aborted:
    """A client left before its answer was complete."""


Event = Opened | Aborted | RecordedRequest | Meeting


@dataclass(frozen=True)
class Listening:
    """The server has started, on this port."""

    port: int


@dataclass(frozen=True)
class Failed:
    """It could not start."""

    is_os_error: bool
    number: int | None
    text: str

    def error(self) -> OSError | ValueError:
        """The error as its owner is to see it."""
        return OSError(self.number, self.text) if self.is_os_error else ValueError(self.text)


@dataclass(frozen=True)
class Answered:
    """What a command was answered by."""

    value: Any


Message = Command | Event | Listening | Failed | Answered | Options


@dataclass
class Record:
    """What a server has seen."""

    requests: list[RecordedRequest] = field(default_factory=list)
    connections: int = 0
    aborted: int = 0
    meetings: list[Meeting] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Keep one event."""
        match event:
            case RecordedRequest():
                self.requests.append(event)
            case Meeting():
                self.meetings.append(event)
            case Opened():
                self.connections += 1
            case Aborted():
                self.aborted += 1


_KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        *(TurnOn, TurnOff, AskActive, Recover, ReplyNext, SetPace, Settle, Rule, Reply, Cut, Drop),
        *(Opened, Aborted, RecordedRequest, Meeting, Listening, Failed, Answered, Options),
    )
}


def encode(message: Message) -> bytes:
    """A message as one line."""
    return json.dumps(_written(message), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Any:
    """The message of a line: only the kinds above are ever made of it."""
    return _read(json.loads(line))


def _written(value: Any) -> Any:
    """JSON in which an object has one key that says what it is."""
    match value:
        case bytes():
            return {"bytes": value.decode("latin-1")}
        case tuple() | list():
            return [_written(one) for one in value]
        case Mapping():
            return {"mapping": {key: _written(one) for key, one in value.items()}}
        case _ if dataclasses.is_dataclass(value):
            fields = {one.name: _written(getattr(value, one.name)) for one in dataclasses.fields(value)}
            return {type(value).__name__: fields}
        case _:
            return value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(one) for one in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "bytes":
        return content.encode("latin-1")
    fields = {key: _read(one) for key, one in content.items()}
    return fields if kind == "mapping" else _KINDS[kind](**fields)
