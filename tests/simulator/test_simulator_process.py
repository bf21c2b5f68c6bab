"""A server in a process of its own: the same to its owner as one in a thread, and it can be stopped dead."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.simulated import CHAT, ask, chat
from tests.simulator.wire import connected, exchange, receive, request, wait_until
from vllm_connect.simulator import Cut, Drop, Meeting, RecordedRequest, Reply, Rule, Simulator, SimulatorDied
from vllm_connect.simulator.control import Answered, Message, ReplyNext, TurnOn, decode, encode
from vllm_connect.simulator.options import Options

PLAIN = request(CHAT, {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4})


@pytest.fixture(params=[False, True], ids=["thread", "process"])
def own_process(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def apart() -> Iterator[Simulator]:
    with Simulator(own_process=True) as server:
        yield server


def refuses(server: Simulator) -> bool:
    try:
        with connected(server):
            return False
    except ConnectionRefusedError:
        return True


def test_one_interface(own_process: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a fixture
    """What has been seen, replies laid ready, faults, pace and addresses are the same wherever a server runs."""
    server = Simulator(
        own_process=own_process,
        api_key="a-key",
        lora_modules={"poet": "/p"},
        models=("a", "b"),
        faults=("status; code=418; path=/version; times=1",),
    )
    key = {"authorization": "Bearer a-key"}
    server.reply_next(
        Reply(299, {"x-made": "here"}, b"\xff\x00"), Drop(), Cut(b"HTTP/1.1 200 OK\r\n\r\n\xff")
    )
    with server:
        laid = ask(server, "POST", "/x", b"\x00\xff", {"x-odd": "\xe4"})
        assert (laid.status, laid.headers["x-made"], laid.body) == (299, "here", b"\xff\x00")
        assert exchange(server, PLAIN).data == b""
        assert exchange(server, PLAIN).data == b"HTTP/1.1 200 OK\r\n\r\n\xff"
        assert ask(server, "GET", "/v1/models").status == 401
        assert [card["id"] for card in ask(server, "GET", "/v1/models", headers=key).json()["data"]] == [
            "a",
            "b",
            "poet",
        ]
        assert ask(server, "GET", "/version").status == 418
        with server.faults.turn_on("busy") as busy:
            assert ask(server, "GET", "/version").status == 503
            assert [rule.fault for rule in server.faults.active] == ["busy"]
            busy.turn_off()
        assert server.faults.log == [
            Meeting("status; code=418", "GET", "/version"),
            Meeting("busy", "GET", "/version"),
        ]
        assert len(server.requests) == server.connections == 7
        first = server.requests[0]
        assert (first.method, first.target, first.body, first.header("x-odd")) == (
            "POST",
            "/x",
            b"\x00\xff",
            "\xe4",
        )
        server.pace(first_token_delay=30)
        with connected(server) as connection:
            connection.sendall(PLAIN.replace(b"host: x", b"host: x\r\nauthorization: Bearer a-key"))
            wait_until(5, lambda: len(server.requests) == 8)
        wait_until(5, lambda: server.aborted == 1)
    assert len(server.requests) == 8
    assert (server.pid, refuses(server)) == (None, True)


def test_paces(own_process: bool) -> None:  # noqa: FBT001 - a fixture
    """The pace can be set while a server runs; what is not named stays as it was."""
    with Simulator(own_process=own_process, token_delay=0.05) as server:
        server.pace(first_token_delay=0.3)
        started = time.monotonic()
        assert chat(server, max_tokens=3).status == 200
        assert 0.4 <= time.monotonic() - started < 2
        with pytest.raises(ValueError, match="token_delay: -1 is below 0"):
            server.pace(token_delay=-1)
        server.pace(first_token_delay=0, token_delay=0)
        started = time.monotonic()
        assert chat(server, max_tokens=3).status == 200
        assert time.monotonic() - started < 0.3


def test_start_fails_aloud(own_process: bool) -> None:  # noqa: FBT001 - a fixture
    """A server that cannot start raises the same error, wherever it was to run."""
    with (
        Simulator() as server,
        pytest.raises(OSError, match=r"cannot be listened on: address already in use") as caught,
    ):
        Simulator(port=server.port, own_process=own_process).start()
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ValueError, match=r"TLS files /nowhere\.pem cannot be loaded"):
        Simulator(ssl_certfile="/nowhere.pem", own_process=own_process).start()


def test_only_with_a_process() -> None:
    """A server in a thread of this process cannot be paused or killed, and says so."""
    with Simulator() as server:
        assert server.pid is None
        for act in (server.pause, server.resume, server.kill):
            with pytest.raises(RuntimeError, match="own_process=True"):
                act()


def test_paused(apart: Simulator) -> None:
    """A paused server takes connections and answers none; what it has seen can be asked; then it goes on."""
    assert chat(apart).status == 200
    apart.pause()
    assert len(apart.requests) == 1
    with pytest.raises(RuntimeError, match=r"paused.*resume\(\)"):
        apart.faults.turn_on("busy")
    with connected(apart) as connection:
        connection.sendall(PLAIN)
        assert receive(connection).end == "open"
        apart.resume()
        assert receive(connection).head[0] == b"HTTP/1.1 200 OK"
    assert len(apart.requests) == 2


def test_stopped_while_paused() -> None:
    """A server can be stopped while it is paused."""
    with Simulator(own_process=True) as server:
        server.pause()
    assert refuses(server)


def test_killed() -> None:
    """A killed server is gone at once, connections and all; what it has seen is still known."""
    with Simulator(own_process=True, token_delay=5) as server:
        with connected(server) as connection:
            connection.sendall(
                request(CHAT, {"messages": [{"role": "user", "content": "x"}], "stream": True})
            )
            assert connection.recv(10)
            wait_until(5, lambda: server.requests)
            server.kill()
            assert receive(connection).end in ("eof", "reset")
        assert refuses(server)
        assert len(server.requests) == 1
        with pytest.raises(SimulatorDied, match="was killed"):
            server.reply_next(Reply())


def test_crash_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends by itself is told of with what it wrote, to whoever asks it and when it is stopped."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    told = r"ended with code -11: (?s:.*)Fatal Python error: Segmentation fault"
    server = Simulator(own_process=True).start()
    assert server.pid
    os.kill(server.pid, signal.SIGSEGV)
    with pytest.raises(SimulatorDied, match=told):
        wait_until(5, lambda: server.requests)
    with pytest.raises(SimulatorDied, match=told):
        server.stop()
    server.stop()
    with pytest.raises(KeyError) as caught, Simulator(own_process=True) as server:
        assert server.pid
        os.kill(server.pid, signal.SIGSEGV)
        wait_until(5, lambda: refuses(server))
        raise KeyError
    assert "Segmentation fault" in caught.value.__notes__[0]


def test_start_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot even begin is told of with what it wrote."""
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(SimulatorDied, match="Fatal Python error"):
        Simulator(own_process=True).start()


OWNER = """
import sys, time
from vllm_connect.simulator import Simulator
server = Simulator(own_process=True, api_key="canary").start()
if sys.argv[1] == "pause": server.pause()
print(server.pid, server.port, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["run", "pause"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ends_with_its_owner(state: str, number: int) -> None:
    """An owner that dies, however it dies, takes its server along, even a paused one; no key is on a command line."""
    command = [sys.executable, "-c", OWNER, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout
        pid, port = map(int, owner.stdout.readline().split())
        assert (
            "canary"
            not in subprocess.run(
                ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True
            ).stdout
        )
        owner.send_signal(number)
        owner.wait(10)
    server = Simulator(port=port)
    wait_until(10, lambda: refuses(server))
    wait_until(10, lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


def test_several_threads(apart: Simulator) -> None:
    """Several threads may ask a server at once; each gets its own answer."""

    def met(number: int) -> int:
        with apart.faults.turn_on("status", code=400 + number, path=f"/{number}"):
            return ask(apart, "GET", f"/{number}").status

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(met, range(24))) == [400 + number for number in range(24)]
    assert apart.faults.active == ()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.just(())
)
HEADERS = st.lists(st.tuples(st.binary(), st.binary())).map(tuple)
MESSAGES = st.one_of(
    st.builds(RecordedRequest, st.text(), st.text(), HEADERS, st.binary()),
    st.builds(
        ReplyNext,
        st.lists(st.builds(Reply, st.integers(), st.dictionaries(st.text(), st.text()), st.binary())).map(
            tuple
        ),
    ),
    st.builds(
        TurnOn,
        st.integers(),
        st.builds(Rule, st.text(), st.dictionaries(st.text(), st.integers()), lasts=st.floats(0)),
    ),
    st.builds(
        Answered,
        st.recursive(
            VALUES, lambda inner: st.one_of(st.lists(inner).map(tuple), st.dictionaries(st.text(), inner))
        ),
    ),
)


@given(MESSAGES)
def test_written_and_read(message: Message) -> None:
    """What is said between a server and its owner is one line each, and means the same when it is read."""
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "options", [Options(), Options(api_key=("a", "b"), models=("x",), lora_modules={"p": "q"}, loading=1.5)]
)
def test_options_written_and_read(options: Options) -> None:
    """A server's options are whole on the other side."""
    assert decode(encode(options)) == options
