"""Which request meets which fault: rules, what one request asks for itself, and what is told of it."""

import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.simulated import CHAT, ask, chat
from tests.simulator.wire import connected, receive, request
from vllm_connect.simulator import FaultError, Meeting, Reply, Simulator, UnmetFault
from vllm_connect.simulator.faults.fault import choose, split
from vllm_connect.simulator.faults.switchboard import rule_from
from vllm_connect.simulator.faults.table import FAULTS


@pytest.fixture
def server() -> Iterator[Simulator]:
    with Simulator(root_path="/proxy") as simulator:
        yield simulator


def statuses(server: Simulator, count: int, path: str = "/version") -> list[int]:
    return [ask(server, "GET", path).status for _ in range(count)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [503, 503, 503, 503, 503, 503]),
        ({"times": 2}, [503, 503, 200, 200, 200, 200]),
        ({"every": 3}, [200, 200, 503, 200, 200, 503]),
        ({"every": 2, "times": 1}, [200, 503, 200, 200, 200, 200]),
        ({"probability": 0.0}, [200, 200, 200, 200, 200, 200]),
        ({"probability": 0.5, "seed": 1}, [503, 200, 200, 503, 503, 503]),
        ({"path": "/version"}, [503, 503, 503, 503, 503, 503]),
        ({"path": "/v1/*"}, [200, 200, 200, 200, 200, 200]),
    ],
)
def test_limits(server: Simulator, limits: dict[str, Any], expected: list[int]) -> None:
    """A fault meets the requests that its limits leave it, and chance is its seed's."""
    server.faults.turn_on("busy", **limits)
    assert statuses(server, 6) == expected


def test_lasting(server: Simulator) -> None:
    """A fault may end by itself."""
    server.faults.turn_on("busy", lasts=0.2)
    assert statuses(server, 1) == [503]
    time.sleep(0.25)
    assert statuses(server, 1) == [200]
    assert server.faults.active == ()


def test_on_and_off(server: Simulator) -> None:
    """The first fault turned on that fits is met; each is turned off by its name, its handle, or with all."""
    faults = server.faults
    faults.turn_on("busy", times=1)
    with faults.turn_on("status", code=418):
        faults.turn_on("internal-error", path="/version")
        assert [rule.fault for rule in faults.active] == ["busy", "status", "internal-error"]
        assert statuses(server, 2) == [503, 418]
        assert [rule.fault for rule in faults.active] == ["status", "internal-error"]
    assert statuses(server, 1) == [500]
    faults.turn_off("internal-error")
    assert (statuses(server, 1), faults.active) == ([200], ())
    faults.turn_on("busy")
    faults.turn_off()
    assert statuses(server, 1) == [200]


def test_from_the_start() -> None:
    """A server may begin with faults, and one turned on before it starts is on when it does."""
    server = Simulator(faults=("status; code=413; times=1; path=/version",))
    server.faults.turn_on("busy", times=1)
    server.reply_next(Reply(299))
    with server:
        assert statuses(server, 4) == [299, 413, 503, 200]


def test_log(server: Simulator) -> None:
    """What met a fault, and what a rule for its path had to pass over, is told in order."""
    server.faults.turn_on("stall", after_events=2)
    server.faults.turn_on("busy", times=1)
    assert statuses(server, 1) == [503]
    assert [(met.fault, met.path) for met in server.faults.log if not met.passed_over] == [
        ("busy", "/version")
    ]
    told = "The fault `stall` applies to a stream of events, and GET /version was answered otherwise."
    assert server.faults.log[0] == Meeting("stall; after_events=2", "GET", "/version", told)
    with pytest.warns(UnmetFault, match="applies to a stream of events"):
        server.faults.turn_off("stall")


def test_unmet_at_the_end() -> None:
    """A fault that fitted nothing is warned of when the server stops, but not instead of another error."""
    with Simulator() as server:
        server.faults.turn_on("stall")
        chat(server)
        with pytest.warns(UnmetFault, match="stream of events"):
            server.stop()
    with warnings.catch_warnings(), pytest.raises(KeyError), Simulator() as server:
        server.faults.turn_on("stall")
        chat(server)
        raise KeyError


@pytest.mark.parametrize("prefix", ["", "/proxy"])
def test_for_one_request(server: Simulator, prefix: str) -> None:
    """A header or a path asks for a fault for one request alone, whose route sees nothing of the path."""
    asked = ask(server, "GET", f"{prefix}/fault/status;code=418/v1/models?x=1")
    assert asked.status == 418
    assert (
        ask(server, "GET", f"{prefix}/v1/models", headers={"X-Simulator-Fault": "status; code=418"}).status
        == 418
    )
    assert ask(server, "GET", f"{prefix}/v1/models").status == 200
    assert server.requests[0].target == f"{prefix}/fault/status;code=418/v1/models?x=1"
    assert server.faults.log == [Meeting("status; code=418", "GET", "/v1/models")] * 2


def test_url(server: Simulator) -> None:
    """A fault has an address of its own, whatever its parameters are."""
    url = server.faults.url("redirect", to="http://a.example/b;c=d e/ä")
    assert url.startswith(f"http://127.0.0.1:{server.port}/proxy/fault/redirect;to=http")
    answer = ask(server, "GET", url.removeprefix(f"http://127.0.0.1:{server.port}") + "/models")
    assert answer.headers["location"] == "http://a.example/b;c=d e/ä/proxy/v1/models"


WRONG = [
    ("stal", {}, "The simulator has no fault `stal`. Did you mean `stall`?"),
    ("xyzzy", {}, "The simulator has no fault `xyzzy`."),
    ("stall", {"after_event": "1"}, "The fault `stall` takes no `after_event`. Did you mean `after_events`?"),
    ("stall", {"foo": "1"}, "The fault `stall` takes no `foo`. It takes after_events, seconds."),
    ("json-null", {"foo": "1"}, "The fault `json-null` takes no `foo`. It takes nothing."),
    ("stall", {"after_events": "many"}, "after_events='many' of a fault: expected int, as in after_events=3"),
    ("stall", {"after_events": "-1"}, "after_events='-1' of a fault: expected 0 or more"),
    ("stall", {"seconds": "nan"}, "seconds='nan' of a fault: expected 0 or more"),
]


@pytest.mark.parametrize(("name", "parameters", "told"), WRONG)
def test_wrong(server: Simulator, name: str, parameters: dict[str, str], told: str) -> None:
    """A fault or parameter that does not exist is told with the nearest name, in code as by a request."""
    with pytest.raises(FaultError) as caught:
        server.faults.turn_on(name, **parameters)
    assert str(caught.value) == told
    text = "; ".join((name, *(f"{key}={value}" for key, value in parameters.items())))
    with pytest.raises(FaultError):
        Simulator(faults=(text,))
    answer = ask(server, "GET", "/version", headers={"x-simulator-fault": text})
    assert (answer.status, answer.error) == (
        400,
        {"message": told, "type": "BadRequestError", "param": "x-simulator-fault", "code": 400},
    )


@pytest.mark.parametrize(
    ("fault", "body", "told"),
    [
        ("stall", {}, "applies to a stream of events"),
        ("bad-utf8", {"stream": True}, "applies to a JSON object that is answered with 200"),
        ("finish-abort", {"temperature": -1}, "applies to a JSON object or a stream, answered with 200"),
        ("choices-too-few", {}, "has one choice only: ask for n=2"),
        ("models-two", {}, "has no list of models"),
        ("refused", {}, "is of the whole server, not of one request: turn it on instead"),
        ("reset-on-accept", {}, "is of a new connection, not of one request"),
        ("huge-line; after_events=99", {"stream": True}, "has no text in that place"),
    ],
)
def test_unfit(server: Simulator, fault: str, body: dict[str, Any], told: str) -> None:
    """A fault that an answer has no room for is told to the request that asked for it, instead of the answer."""
    content = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4, **body}
    answer = ask(server, "POST", CHAT, content, {"x-simulator-fault": fault})
    assert answer.status == 400
    assert told in answer.error["message"]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("busy; every=0", "every=0 of the fault `busy`: expected more than 0"),
        ("busy; times=0", "times=0 of the fault `busy`: expected more than 0"),
        ("busy; probability=1.5", "probability=1.5 of the fault `busy`: expected 0 to 1"),
        ("busy; lasts=-1", "lasts='-1' of a fault: expected 0 or more"),
        ("busy; times=x", "times='x' of a fault: expected int, as in times=2"),
        ("busy; times", "`times` of the fault `busy`: expected key=value"),
        ("refused; times=1", "`refused` is of the whole server, which `times` does not limit"),
        ("reset-on-accept; path=/x", "`reset-on-accept` is of a new connection, which `path` does not limit"),
    ],
)
def test_wrong_limits(rule: str, told: str) -> None:
    """A limit that cannot be is refused when it is given."""
    with pytest.raises(FaultError, match=told):
        rule_from(rule)


def test_parameters_and_limits_apart() -> None:
    """No fault takes a parameter by the name of a limit, and every one has a type and a default of it."""
    limits = {"path", "times", "every", "probability", "seed", "lasts"}
    for fault in FAULTS.values():
        for parameter in fault.parameters:
            assert parameter.name not in limits
            assert type(parameter.default) is parameter.type


@given(st.sampled_from(sorted(FAULTS)), st.data())
def test_written_and_read(name: str, data: st.DataObject) -> None:
    """A fault as its text, in a header or a path, is the same fault when it is read."""
    values = {
        int: st.integers(0, 10**9),
        float: st.floats(0, allow_nan=False),
        bool: st.booleans(),
        str: st.text(),
    }
    given_values = {one.name: data.draw(values[one.type]) for one in FAULTS[name].parameters}
    chosen = choose(FAULTS, name, given_values)
    assert choose(FAULTS, *split(str(chosen))) == chosen


def test_passing_by() -> None:
    """A stream that a fault could have met, and did not, is made as it is sent: it can still be aborted."""
    sent = request(CHAT, {"messages": [{"role": "user", "content": "x"}], "stream": True, "min_tokens": 500})
    with Simulator(dev_mode=True, token_delay=0.02) as server, connected(server) as connection:
        server.faults.turn_on("stall", path="/elsewhere")
        connection.sendall(sent)
        assert connection.recv(100)
        assert ask(server, "POST", "/sleep").status == 200
        assert b'"finish_reason":"abort"' in receive(connection).data


def test_json_in_between(server: Simulator) -> None:
    """Faults leave what they do not touch as it is: ids, texts and numbers are those of the honest answer."""
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
    honest, changed = (
        ask(server, "POST", CHAT, body, {"x-request-id": "fixed", **more}).json()
        for more in ({}, {"x-simulator-fault": "other-model; name=b"})
    )
    assert json.dumps({**honest, "model": "b", "created": 0}) == json.dumps({**changed, "created": 0})
