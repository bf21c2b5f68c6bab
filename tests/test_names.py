"""One name, several servers: `dns+http://...` makes each address of a name a replica of its own.

The resolver is a table that the client is given. Most tests stand at 127.0.0.1, .2 and .3, of which macOS has the first
alone.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import openai
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Caller, every_kind
from tests.commands import run
from vllm_connect import AsyncOpenAI, KeyRefused, OpenAI, ServerUnreachable, Settings, SettingsError, Tls
from vllm_connect.client.catalogue import Catalogue
from vllm_connect.client.connected import Inherited
from vllm_connect.dispatch import Credentials, ReplicaSet
from vllm_connect.dispatch.lookup import Lookup, one_family
from vllm_connect.endpoint import parse_endpoint
from vllm_connect.simulator import Simulator

MODEL = "qwen"
KEY = "key-of-a-name"
NAME = "gpus.test"
# So many sessions that each of three servers is the home of some: but once in 60,000 times.
MANY = 30
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
needs_loopbacks = pytest.mark.skipif(
    sys.platform == "darwin", reason="macOS has no 127.0.0.2 until somebody adds it"
)


class Table:
    """A resolver: names and their addresses, who has none is not known; notes what was asked."""

    def __init__(self, *addresses: str, seconds: float = 0.0) -> None:
        self.addresses: Sequence[str] = addresses
        self.seconds = seconds
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        time.sleep(self.seconds)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.addresses


def behind(table: Table, base_url: Any, *, between: float = 30.0, sooner: float = 5.0, **given: Any) -> Any:
    """Return what a client is made of whose resolver is a table."""
    settings = Settings.load({"base_url": base_url, "api_key": KEY, **given})
    credentials = Credentials(settings.key, settings.endpoint)
    lookup = Lookup(settings.endpoints, table, between=between, sooner=sooner)
    replicas = ReplicaSet(credentials, settings.endpoints, lookup=lookup)
    return Inherited(settings, credentials, replicas, Catalogue())


@pytest.fixture
def pods() -> Iterator[list[Simulator]]:
    """Three servers at one port of three addresses."""
    with ExitStack() as stack:
        first = stack.enter_context(Simulator(models=(MODEL,), api_key=KEY, host=HOSTS[0]))
        others = (
            stack.enter_context(Simulator(models=(MODEL,), api_key=KEY, host=host, port=first.port))
            for host in HOSTS[1:]
        )
        yield [first, *others]


def url(pods: Sequence[Simulator]) -> str:
    return f"dns+http://{NAME}:{pods[0].port}"


def plain(client: Any, session: object = "one", **options: Any) -> Any:
    return client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say something."}],
        max_tokens=4,
        extra_headers={"X-Session-ID": str(session)},
        **options,
    )


def by_sdk(client: Any, session: object = "one") -> Any:
    return client.responses.create(
        model=MODEL,
        input="Say something.",
        max_output_tokens=4,
        extra_headers={"X-Session-ID": str(session)},
    )


def asked(simulator: Simulator) -> int:
    return sum(request.method == "POST" for request in simulator.requests)


def names(client: Any) -> list[str]:
    return [state.name for state in client.server.replicas()]


WAYS = (plain, by_sdk)


@needs_loopbacks
@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("way", WAYS)
def test_each_address_is_a_replica(
    caller: Caller, way: Callable[..., Any], wire: str, pods: list[Simulator]
) -> None:
    """Calls spread over the addresses of a name, looked up once, with the name for their host and the key for the name."""
    table = Table(*HOSTS)
    inherited = behind(table, url(pods), wire=wire)
    for session in range(MANY):
        assert caller.run(partial(way, session=session), _inherited=inherited)
    assert table.asked == [NAME]
    assert sum(asked(pod) for pod in pods) == MANY
    for pod in pods:
        assert asked(pod) > 0
        for request in pod.requests:
            assert request.header("host") == f"{NAME}:{pod.port}"
            assert request.header("authorization") == f"Bearer {KEY}"
    assert [member.name for member in inherited.replicas.members] == [
        f"http://{NAME}:{pods[0].port}/v1 [{host}]" for host in HOSTS
    ]


def test_nothing_is_looked_up_before_a_call() -> None:
    """A client that makes no call asks no resolver; the name stands for itself."""
    table = Table("127.0.0.1")
    with OpenAI(_inherited=behind(table, "dns+http://gpus.test")) as client:
        assert names(client) == ["dns+http://gpus.test/v1"]
        assert client.settings.endpoint.origin == "http://gpus.test"
    assert table.asked == []


@needs_loopbacks
def test_pods_come_and_go(pods: list[Simulator]) -> None:
    """A name is looked up again: calls find new addresses, leave old ones, and only the calls of those move."""
    table = Table(*HOSTS[:2])
    sessions = range(24)
    with OpenAI(_inherited=behind(table, url(pods), between=0.0)) as client:

        def homes() -> list[int]:
            found = []
            for session in sessions:
                before = [asked(pod) for pod in pods]
                plain(client, session)
                found.append(next(i for i, pod in enumerate(pods) if asked(pod) > before[i]))
            return found

        before = homes()
        assert set(before) == {0, 1}
        table.addresses = HOSTS[::2]
        after = homes()
        assert set(after) <= {0, 2}
        assert all(now in (home, 2) for home, now in zip(before, after, strict=True) if home == 0)
        table.addresses = HOSTS[2:]
        assert set(homes()) == {2}
        table.addresses = ()
        assert set(homes()) == {2}  # what is not found any more keeps its replicas
        assert names(client) == [f"http://{NAME}:{pods[0].port}/v1 [{HOSTS[2]}]"]


@needs_loopbacks
@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_moves_to_another_address(caller: Caller, way: Callable[..., Any], pods: list[Simulator]) -> None:
    """Where nobody listens at one address a call goes to the next; then the name is looked up sooner."""
    table = Table("127.0.0.77", HOSTS[1])
    inherited = behind(table, url(pods), sooner=0.0)
    for session in range(6):
        assert caller.run(partial(way, session=session), _inherited=inherited, max_retries=0)
    assert asked(pods[1]) == 6
    assert len(table.asked) > 1


@every_kind
def test_unknown_name(caller: Caller) -> None:
    """A name that nobody knows is told with its address, as for any other server, and asked for again by the next call."""
    table = Table()
    inherited = behind(table, f"dns+http://{NAME}:8000", sooner=0.0)
    for _ in range(2):
        with pytest.raises(ServerUnreachable, match="host name is not known") as caught:
            caller.run(plain, _inherited=inherited)
        assert caught.value.server == f"dns+http://{NAME}:8000/v1"
    assert len(table.asked) == 2


@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_errors_name_both(caller: Caller, way: Callable[..., Any]) -> None:
    """An error says the name that was asked and the address that did not answer, by status and by connection."""
    with Simulator(models=(MODEL,), api_key="another") as server:
        inherited = behind(Table("127.0.0.1"), f"dns+http://{NAME}:{server.port}")
        with pytest.raises(
            openai.AuthenticationError, match=rf"{NAME}:{server.port} \[127\.0\.0\.1\] refused"
        ):
            caller.run(way, _inherited=inherited)
    with pytest.raises(
        openai.APIConnectionError, match=rf"{NAME}:{server.port}/v1 \[127\.0\.0\.1\].*refused"
    ):
        caller.run(way, _inherited=inherited, max_retries=0)


@every_kind
def test_slow_resolver(caller: Caller, pair_of_lists: list[str]) -> None:
    """A resolver that does not answer delays a call by a moment only, where others can do it."""
    table = Table("127.0.0.1", seconds=4.0)
    inherited = behind(table, [f"dns+http://{NAME}:9", *pair_of_lists])
    started = time.monotonic()
    caller.run(lambda client: plain(client, timeout=2.0), _inherited=inherited)
    assert time.monotonic() - started < 1.5


@pytest.fixture
def pair_of_lists() -> Iterator[list[str]]:
    with Simulator(models=(MODEL,), api_key=KEY) as one, Simulator(models=(MODEL,), api_key=KEY) as other:
        yield [one.url, other.url]


@needs_loopbacks
def test_many_calls_at_once_look_up_once(pods: list[Simulator]) -> None:
    """Calls that begin together wait for one lookup, and spread over what it finds."""
    table = Table(*HOSTS, seconds=0.2)
    with OpenAI(_inherited=behind(table, url(pods))) as client:
        threads = [threading.Thread(target=plain, args=(client, number)) for number in range(MANY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert table.asked == [NAME]
    assert all(asked(pod) for pod in pods)


@needs_loopbacks
def test_many_tasks_at_once_look_up_once(pods: list[Simulator]) -> None:
    """The same holds for tasks, which take no threads for waiting; a resolver that hangs is waited for by none of them."""
    table = Table(*HOSTS, seconds=0.2)
    most = 0

    async def many(inherited: Any, **options: Any) -> None:
        nonlocal most
        async with AsyncOpenAI(_inherited=inherited) as client, anyio.create_task_group() as tasks:
            for number in range(MANY):
                tasks.start_soon(partial(plain, client, number, **options))
            await anyio.sleep(0.1)
            most = max(most, anyio.to_thread.current_default_thread_limiter().borrowed_tokens)

    anyio.run(many, behind(table, url(pods)))
    assert table.asked == [NAME]
    assert all(asked(pod) for pod in pods)
    assert most == 1
    hanging = Table(*HOSTS, seconds=3.0)
    started = time.monotonic()
    anyio.run(partial(many, timeout=2.0), behind(hanging, [url(pods), f"http://127.0.0.1:{pods[0].port}"]))
    assert time.monotonic() - started < 6
    assert most == 1


@needs_loopbacks
def test_beside_others(pods: list[Simulator]) -> None:
    """A name stands in a list with other servers; a list in its place keeps those that stay."""
    table = Table(*HOSTS[:2])
    with (
        Simulator(models=(MODEL,), api_key=KEY) as other,
        OpenAI(_inherited=behind(table, [url(pods), other.url])) as client,
    ):
        for session in range(MANY):
            plain(client, session)
        assert all(asked(one) for one in (*pods[:2], other))
        client.base_url = [url(pods), f"http://127.0.0.3:{pods[0].port}"]
        plain(client)
        assert names(client) == [
            *(f"http://{NAME}:{pods[0].port}/v1 [{host}]" for host in HOSTS[:2]),
            f"http://127.0.0.3:{pods[0].port}/v1",
        ]
    assert table.asked == [NAME]


@needs_loopbacks
@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
def test_certificate(caller: Caller, wire: str, tmp_path: Path) -> None:
    """The certificate of each address is checked for the name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for file, host in (("good.pem", NAME), ("wrong.pem", "other.test")):
        authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(tmp_path / file)
    tls = Tls(ca=str(tmp_path / "ca.pem"))
    options: Any = {"models": (MODEL,), "api_key": KEY}
    with (
        Simulator(**options, ssl_certfile=str(tmp_path / "good.pem")) as good,
        Simulator(
            **options, ssl_certfile=str(tmp_path / "wrong.pem"), host=HOSTS[1], port=good.port
        ) as wrong,
    ):
        address = f"dns+https://{NAME}:{good.port}"
        assert caller.run(plain, _inherited=behind(Table(HOSTS[0]), address, wire=wire, tls=tls))
        with pytest.raises(ServerUnreachable, match="certificate is not trusted"):
            caller.run(plain, _inherited=behind(Table(HOSTS[1]), address, wire=wire, tls=tls))
        assert wrong.requests == []


@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
def test_public_address(caller: Caller, wire: str) -> None:
    """Whether a key may go in clear is judged by the address, whatever the name is."""
    inherited = behind(Table("203.0.113.1"), "dns+http://gpus.test:8000", wire=wire)
    started = time.monotonic()
    with pytest.raises(KeyRefused, match=r"gpus.test:8000.*203\.0\.113\.1"):
        caller.run(plain, _inherited=inherited)
    assert time.monotonic() - started < 2


def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would choose among the addresses itself: that is refused, unless NO_PROXY has the name."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    inherited = behind(Table("10.255.255.1"), "dns+http://gpus.test")
    with (
        OpenAI(_inherited=inherited) as client,
        pytest.raises(SettingsError, match=r"Add gpus\.test to NO_PROXY"),
    ):
        plain(client)
    monkeypatch.setenv("NO_PROXY", "gpus.test")
    inherited = behind(Table("127.0.0.1"), "dns+http://gpus.test:9")
    with OpenAI(_inherited=inherited) as client, pytest.raises(ServerUnreachable, match="connection refused"):
        plain(client)


@needs_loopbacks
def test_one_of_them(pods: list[Simulator]) -> None:
    """What is about one server wants to be told which, in the spelling in which it is listed."""
    with OpenAI(_inherited=behind(Table(*HOSTS), url(pods))) as client:
        with pytest.raises(SettingsError, match=r"one at each address of a name.*\[10\.0\.0\.1\]"):
            client.server.health()
        assert client.server.info().url == f"http://{NAME}:{pods[0].port}/v1 [127.0.0.1]"
        with pytest.raises(SettingsError, match=r"3 replicas.*\[127\.0\.0\.1\]"):
            client.server.health()
        assert client.with_options(base_url=names(client)[2]).server.health() is True
        assert pods[2].requests[-1].path == "/health"


@every_kind
def test_wait_until_ready(caller: Caller) -> None:
    """A name that is known only when its first server is ready, as in Kubernetes, is waited for."""
    table = Table()
    with Simulator(models=(MODEL,), api_key=KEY) as server:
        inherited = behind(table, f"dns+http://{NAME}:{server.port}", sooner=0.1)

        def comes(_progress: object) -> None:
            table.addresses = ("127.0.0.1",)

        caller.run(lambda client: client.wait_until_ready(10, report=comes), _inherited=inherited)
    assert len(table.asked) > 1


def test_info_command() -> None:
    """`vllm-connect info` takes a name, and shows each address with its state."""
    with Simulator(models=(MODEL,)) as server:
        told = run("info", "--json", "--url", f"dns+http://localhost:{server.port}")
    (replica,) = json.loads(told.stdout)["replicas"]
    assert (replica["server"], replica["state"]) == (
        f"http://localhost:{server.port}/v1 [127.0.0.1]",
        "serving",
    )


def test_doctor_command() -> None:
    """`vllm-connect doctor` looks at the server at each address, and tells the name as the set-up that works."""
    with Simulator(models=(MODEL,)) as server:
        address = f"localhost:{server.port}/v1"
        told = run("doctor", f"dns+http://{address}")
    assert told.returncode == 0
    assert f"http://{address} [127.0.0.1]" in told.stdout
    assert f"export VLLM_BASE_URL=dns+http://{address}\n" in told.stdout


def test_from_elsewhere() -> None:
    """A variable names a name too; its key goes there, and none of another source."""
    environ = {"VLLM_BASE_URL": "dns+https://gpus.test, gpu9:8000", "VLLM_API_KEY": KEY}
    settings = Settings.load({}, environ=environ)
    assert [str(endpoint) for endpoint in settings.endpoints] == [
        "dns+https://gpus.test/v1",
        "http://gpu9:8000/v1",
    ]
    assert settings.key is not None
    openai_key = {"OPENAI_BASE_URL": "dns+https://gpus.test", "OPENAI_API_KEY": "sk-proj-x"}
    assert Settings.load({}, environ=openai_key).key is None


@pytest.mark.parametrize("twice", [["dns+http://gpus.test", "http://gpus.test/v1"], ["dns+gpus.test"] * 2])
def test_twice(twice: list[str]) -> None:
    """A name and its addresses are not both replicas."""
    with pytest.raises(SettingsError, match="twice"):
        OpenAI(base_url=twice)


def test_no_http_client() -> None:
    """A client of the caller's own connects by itself: with a name's addresses it is refused."""
    with openai.DefaultHttpxClient() as own, pytest.raises(SettingsError, match="http_client"):
        OpenAI(base_url="dns+http://gpus.test", http_client=own)


addresses = st.lists(st.ip_addresses().map(str), min_size=1, max_size=8)


@given(addresses, st.randoms())
def test_one_family(found: list[str], chance: Any) -> None:
    """Of a name with addresses of both families those of IPv4 count: each once, in an order that is always the same."""
    shuffled = [*found, *found[:2]]
    chance.shuffle(shuffled)
    taken = one_family(shuffled)
    four = {address for address in found if "." in address}
    assert taken == one_family(found)
    assert set(taken) == (four or set(found))
    assert len(taken) == len(set(taken))


NAMED = parse_endpoint("dns+http://gpus.test")
TIMES: list[tuple[str, list[tuple[str, float]], float, bool]] = [
    ("never looked up", [], 0.0, True),
    ("just looked up", [("found", 0.0)], 29.9, False),
    ("after a while", [("found", 0.0)], 30.0, True),
    ("a replica was away", [("found", 0.0), ("away", 0.0)], 4.9, False),
    ("a replica was away a while ago", [("found", 0.0), ("away", 0.0)], 5.0, True),
    ("away for long", [("found", 0.0), ("away", 20.0)], 20.0, True),
    ("not found", [("lost", 0.0)], 4.9, False),
    ("not found a while ago", [("lost", 0.0)], 5.0, True),
    ("not found any more", [("found", 0.0), ("lost", 30.0)], 59.9, False),
]


@pytest.mark.parametrize(
    ("happened", "at", "is_due"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES]
)
def test_when_a_name_is_looked_up(happened: list[tuple[str, float]], at: float, *, is_due: bool) -> None:
    """A name is looked up every 30 s, and 5 s after the last time where it was not found or a replica was away."""
    table = Table()
    lookup = Lookup([NAMED], table)
    for what, when in happened:
        if what == "away":
            lookup.was_away()
            continue
        table.addresses = ("10.0.0.1",) if what == "found" else ()
        lookup.look_up(when)
    assert lookup.is_due(at) is is_due


def test_who_looks_a_name_up() -> None:
    """Of calls that begin together one looks the name up; after 5 s without an answer another one does."""
    lookup = Lookup([NAMED], Table("10.0.0.1"))
    assert lookup.begin(0.0)
    assert [(at, lookup.begin(at)) for at in (0.0, 4.9, 5.0, 9.9)] == [
        (0.0, False),
        (4.9, False),
        (5.0, True),
        (9.9, False),
    ]
    assert lookup.is_due(9.9)  # nothing is known yet: it waits with the others
    lookup.look_up(9.9)
    lookup.answered.set()
    assert lookup.is_due(39.9)
    assert lookup.begin(39.9)
    assert not lookup.is_due(40.0)  # what is known does, while another one asks
