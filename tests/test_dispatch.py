"""One call from start to end: tries, timers, deadlines, redirects, and errors that say what to do."""

from __future__ import annotations

import pickle
import socket
import time
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from vllm_connect import (
    AnswerIncomplete,
    DeadlineExceeded,
    KeyRefused,
    OpenAI,
    RedirectRefused,
    ServerUnreachable,
    Timeouts,
    Tls,
)
from vllm_connect.dispatch.credentials import Credentials
from vllm_connect.dispatch.peer import CONNECTED, PeerCheck
from vllm_connect.dispatch.retry import Standing, Step, next_step, retry_after
from vllm_connect.endpoint import Key, parse_endpoint
from vllm_connect.outcome import Attempt, judge
from vllm_connect.settings import GivenKey
from vllm_connect.simulator import Cut, Drop, Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Say something."}]
KEY = "simulator-key"


def chat(client: Any, **parameters: Any) -> Any:
    """Make one chat call that needs no discovery."""
    return client.chat.completions.create(model="sim-model", messages=MESSAGES, **parameters)


def closed_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


@every_kind
def test_refused_connection(caller: Caller) -> None:
    """A refused connection fails within 3 s, as openai's class, saying where, why, and what to do."""
    port = closed_port()
    started = time.monotonic()
    with pytest.raises(openai.APIConnectionError) as caught:
        caller.run(chat, base_url=f"127.0.0.1:{port}")
    assert time.monotonic() - started < 3
    error = caught.value
    assert isinstance(error, ServerUnreachable)
    assert (error.phase, error.reason, error.attempts) == ("connect", "connection refused", 3)
    for part in (
        f"http://127.0.0.1:{port}/v1",
        "after 3 tries",
        "still loading",
        "vllm-connect wait",
        "argument",
    ):
        assert part in str(error)
    assert "\n" not in str(error)


@every_kind
# httpcore leaves the socket of a failed unix connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("address", "reason", "advice"),
    [
        ("http://no-such-host.invalid", "its host name is not known", "Check its spelling"),
        ("unix:///nowhere/vllm.sock", "no such unix socket", "--uds /nowhere/vllm.sock"),
    ],
)
def test_unreachable(caller: Caller, address: str, reason: str, advice: str) -> None:
    """What another try cannot mend is not tried again, and explained."""
    with pytest.raises(ServerUnreachable, match=advice) as caught:
        caller.run(chat, base_url=address)
    assert (caught.value.reason, caught.value.attempts) == (reason, 1)


@every_kind
def test_https_to_a_plain_port(caller: Caller, server: Simulator) -> None:
    """TLS to a server without TLS is told as that, and not tried again."""
    with pytest.raises(ServerUnreachable, match="write http:// in place of https://"):
        caller.run(chat, base_url=server.url.replace("http:", "https:"), api_key=KEY)
    assert server.connections == 1


@every_kind
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_tried_again(caller: Caller, server: Simulator, status: int) -> None:
    """A status that says nothing was done, or that the server failed, is tried again, and the number of tries is told to server and caller."""
    server.reply_next(Reply(status, {"retry-after-ms": "20"}))
    raw = caller.run(
        lambda client: client.chat.completions.with_raw_response.create(model="sim-model", messages=MESSAGES),
        base_url=server.url,
        api_key=KEY,
    )
    assert raw.retries_taken == 1
    assert [request.header("x-stainless-retry-count") for request in server.requests] == ["0", "1"]


@every_kind
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 431, 504])
def test_not_tried_again(caller: Caller, server: Simulator, status: int) -> None:
    """A refusal, or a generation that may still be running, is not repeated; it is the SDK's error for that status."""
    server.reply_next(Reply(status, {"content-type": "application/json"}, b'{"detail":"no"}'))
    with pytest.raises(openai.APIStatusError) as caught:
        caller.run(chat, base_url=server.url, api_key=KEY)
    assert caught.value.status_code == status
    assert len(server.requests) == 1


@every_kind
@pytest.mark.parametrize(("most", "tries"), [(0, 1), (1, 2), (2, 3)])
def test_max_retries(caller: Caller, server: Simulator, most: int, tries: int) -> None:
    """`max_retries` caps the tries of the whole call."""
    server.reply_next(*[Reply(503, {"retry-after-ms": "1"})] * 5)
    with pytest.raises(openai.InternalServerError):
        caller.run(chat, base_url=server.url, api_key=KEY, max_retries=most)
    assert len(server.requests) == tries


@every_kind
@pytest.mark.parametrize(("most", "tries"), [(0, 1), (1, 2), (5, 2)])
def test_lost_connections(caller: Caller, server: Simulator, most: int, tries: int) -> None:
    """A request whose connection was lost is sent once more, and no third time: it may be what breaks the server."""
    server.reply_next(*[Drop()] * 5)
    with pytest.raises(ServerUnreachable) as caught:
        caller.run(chat, base_url=server.url, api_key=KEY, max_retries=most)
    assert (caught.value.phase, caught.value.attempts, len(server.requests)) == ("answer", tries, tries)


def after(attempt: Attempt, chance: float = 0.0, remaining: float = 60.0, **more: Any) -> Step | None:
    standing: dict[str, Any] = {"retries": 0, "max_retries": 2, "crashes": 0, **more}
    return next_step(attempt, judge(attempt), Standing(remaining=remaining, **standing), lambda: chance)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"retry-after": "3"}, (3.0, 3.75)),
        ({"retry-after-ms": "1500"}, (1.5, 1.875)),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:07 GMT"}, (7.0, 8.75)),
        ({"retry-after": "99999"}, None),
        ({"retry-after": "-1"}, (0.5, 0.25)),
        ({"retry-after": "nan"}, (0.5, 0.25)),
        ({"retry-after": "soon"}, (0.5, 0.25)),
        ({}, (0.5, 0.25)),
    ],
)
def test_wait(headers: dict[str, str], waits: tuple[float, float] | None) -> None:
    """A server's wish is obeyed up to 120 s, nonsense is not, every wait has jitter, and none outlives the deadline."""
    busy = Attempt(phase="complete", status=503, retry_after=retry_after(headers, 1795428000.0))
    steps = after(busy), after(busy, 1.0)
    assert waits == (None if None in steps else tuple(step.wait for step in steps if step))
    assert after(busy, remaining=0.2) is None
    elsewhere = after(busy, has_other=True)
    assert elsewhere is not None
    assert elsewhere.wait == 0


@every_kind
def test_long_retry_after_is_told(caller: Caller, server: Simulator) -> None:
    """A wait that a server asks for, and that is too long to be waited, is shown, and there for a program."""
    server.reply_next(Reply(429, {"retry-after": "99999"}))
    with pytest.raises(openai.RateLimitError, match="not to be asked again for 99999 s") as caught:
        caller.run(chat, base_url=server.url, api_key=KEY)
    assert caught.value.attempt.retry_after == 99999  # type: ignore[attr-defined]
    assert len(server.requests) == 1


REFUSED = Attempt(phase="connect", ending="failed")
NO_NAME = Attempt(phase="connect", ending="failed", mends_itself=False)
LOST = Attempt(phase="sent", ending="lost")
LATE = Attempt(phase="sent", ending="timer", timer="total")
HTML = Attempt(phase="complete", status=200, reading="no answer")
MODEL_404 = Attempt(phase="complete", status=404, lacks_model=True)
ABORTED = Attempt(phase="complete", status=200, finish_reasons=("abort",))
FREE = Step(0.0, is_counted=False, is_charged=False)
CHARGED = Step(0.0, is_counted=True, is_charged=True)


@pytest.mark.parametrize(
    ("attempt", "standing", "step"),
    [
        (REFUSED, {"has_other": True, "retries": 2}, FREE),
        (REFUSED, {"is_replayable": False}, Step(0.5, is_counted=True, is_charged=True)),
        (REFUSED, {"retries": 2}, None),
        (NO_NAME, {"has_other": True}, FREE),
        (NO_NAME, {}, None),
        (MODEL_404, {"has_other": True}, FREE),
        (MODEL_404, {}, None),
        (LOST, {"crashes": 1}, Step(0.5, is_counted=True, is_charged=True)),
        (LOST, {"crashes": 1, "has_other": True}, CHARGED),
        (LOST, {"crashes": 1, "has_other": True, "retries": 2}, None),
        (LOST, {"crashes": 2, "has_other": True}, None),
        (LOST, {"crashes": 1, "is_replayable": False}, None),
        (ABORTED, {"crashes": 1, "has_other": True}, CHARGED),
        (ABORTED, {"crashes": 1, "has_other": True, "retries": 1}, CHARGED),
        (ABORTED, {"crashes": 1}, None),
        (LATE, {"has_other": True}, None),
        (HTML, {"has_other": True}, CHARGED),
        (HTML, {}, None),
        (HTML, {"has_other": True, "retries": 1}, None),
    ],
)
def test_next_step(attempt: Attempt, standing: dict[str, Any], step: Step | None) -> None:
    """What was not sent moves on free of charge; what was lost is sent again once; what timed out is not."""
    assert after(attempt, **standing) == step


@every_kind
def test_total_holds_over_all_tries(caller: Caller, server: Simulator) -> None:
    """A number as timeout bounds a plain call in total, waits and tries included."""
    server.reply_next(*[Reply(503, {"retry-after": "0.3"}, delay=0.2)] * 9)
    started = time.monotonic()
    with pytest.raises((openai.InternalServerError, DeadlineExceeded)):
        caller.run(lambda client: chat(client, timeout=1.0), base_url=server.url, api_key=KEY, max_retries=9)
    assert time.monotonic() - started < 1.5
    assert 1 < len(server.requests) < 4


@every_kind
def test_timed_out_call_is_not_repeated(caller: Caller, server: Simulator) -> None:
    """A timeout is told with its timer and setting, and the generation is not started again."""
    server.reply_next(*[Reply(delay=5)] * 3)
    with pytest.raises(openai.APITimeoutError, match=r"within its total of 0.3 s") as caught:
        caller.run(lambda client: chat(client, timeout=0.3), base_url=server.url, api_key=KEY)
    assert isinstance(caught.value, DeadlineExceeded)
    assert (caught.value.timer, caught.value.seconds, len(server.requests)) == ("total", 0.3, 1)


@every_kind
def test_first_token(caller: Caller) -> None:
    """A stream whose first byte does not come in time ends with the timer that says so."""
    with Simulator(models=("sim-model",)) as server:
        server.reply_next(Reply(delay=5))
        with pytest.raises(DeadlineExceeded, match="no first byte") as caught:
            caller.run(
                lambda client: chat(client, stream=True, timeouts=Timeouts(first_token=0.3)),
                base_url=server.url,
            )
        assert caught.value.timer == "first_token"


@every_kind
def test_between_tokens(caller: Caller) -> None:
    """A stream that stands still ends with the timer that says so."""
    with Simulator(models=("sim-model",), token_delay=5) as server:
        timeouts = Timeouts(first_token=0.4, between_tokens=0.4)
        with pytest.raises(DeadlineExceeded, match="stood still") as caught:
            caller.run(lambda client: chat(client, stream=True, timeouts=timeouts), base_url=server.url)
        assert caught.value.timer == "between_tokens"


@every_kind
def test_dripped_stream_ends_at_its_total(caller: Caller) -> None:
    """Bytes that keep coming trip no token timer; the total ends them."""
    with Simulator(models=("sim-model",), token_delay=0.1) as server:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            caller.run(
                lambda client: chat(client, stream=True, max_tokens=64, timeouts=Timeouts(total=0.5)),
                base_url=server.url,
            )
        assert caught.value.timer == "total"
        # Unhindered it would go on for 6 s.
        assert time.monotonic() - started < 3.0


@every_kind
def test_dripped_answer_is_given_up_at_its_total(caller: Caller) -> None:
    """A plain call whose answer drips ends at its total, and the connection is closed so that the server stops."""
    with Simulator(models=("sim-model",), token_delay=0.1) as server:
        body = {"model": "sim-model", "messages": MESSAGES, "stream": True}
        options: Any = {"timeout": Timeouts(total=0.5)}
        with pytest.raises(DeadlineExceeded, match=r"total of 0.5 s"):
            caller.run(
                lambda client: client.post("/chat/completions", body=body, cast_to=object, options=options),
                base_url=server.url,
            )
        time.sleep(0.3)
        assert server.aborted == 1


@every_kind
def test_broken_stream(caller: Caller, server: Simulator) -> None:
    """A connection that breaks inside a stream is our typed error, with openai 2.x too."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    server.reply_next(*[Cut(head + b"5\r\ndata:")] * 2)  # it has brought nothing, and is asked for once more
    with pytest.raises(AnswerIncomplete, match="is not complete"):
        caller.run(lambda client: chat(client, stream=True), base_url=server.url, api_key=KEY)


@every_kind
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(caller: Caller, server: Simulator, pooling: Simulator, status: int) -> None:
    """A redirect is not followed: nothing reaches its target, which the error names without its secrets."""
    server.reply_next(
        Reply(status, {"location": f"http://u:secret@127.0.0.1:{pooling.port}/v1/x?token=secret"})
    )
    with pytest.raises(RedirectRefused, match="not followed") as caught:
        caller.run(chat, base_url=server.url, api_key=KEY)
    assert isinstance(caught.value, openai.APIStatusError)
    assert caught.value.target == f"127.0.0.1:{pooling.port}/v1/x"
    assert "secret" not in str(caught.value)
    assert pooling.connections == 0


def test_key_stays_at_its_origin(server: Simulator, pooling: Simulator) -> None:
    """A request to another origin than the client's own does not carry the key; it is refused."""
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        with pytest.raises(KeyRefused, match=r"belongs to .* not sent to"):
            client.get(f"{pooling.url}/models", cast_to=object)
        assert pooling.connections == 0
        assert client.get(f"{server.root_url}/version", cast_to=object) == {"version": "0.32.0"}


class PublicStream:
    """What httpcore hands to its trace after a connection to a public address."""

    closed = False

    def get_extra_info(self, name: str) -> Any:
        return {"server_addr": ("203.0.113.9", 8000)}[name]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("address", "allow", "key", "refused"),
    [
        ("http://gpu.example:8000", False, "a-real-key", True),
        ("http://gpu.example:8000", True, "a-real-key", False),
        ("http://gpu.example:8000", False, "EMPTY", False),
        ("https://gpu.example", False, "a-real-key", False),
    ],
)
def test_key_in_clear(address: str, key: str, *, allow: bool, refused: bool) -> None:
    """Over plain http to a public address the connection is closed before a byte with a key leaves."""
    endpoint = parse_endpoint(address)
    credentials = Credentials(GivenKey(Key(key, source="test"), "test"), endpoint, allow)
    with openai.DefaultHttpxClient() as http:
        request = http.build_request("POST", f"{endpoint.base_url}/chat/completions")
    stream = PublicStream()
    check = PeerCheck(request, credentials)
    if refused:
        with pytest.raises(KeyRefused, match=r"203.0.113.9.*can read it"):
            check.trace(CONNECTED, {"return_value": stream})
    else:
        check.trace(CONNECTED, {"return_value": stream})
    assert stream.closed is refused


@every_kind
def test_wrong_key(caller: Caller, server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 401 says which key was refused and where it came from, and names a key that was withheld."""
    with pytest.raises(openai.AuthenticationError, match=r"refused the API key from argument `api_key`"):
        caller.run(chat, base_url=server.url, api_key="wrong")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-canary")
    with pytest.raises(
        openai.AuthenticationError, match="OPENAI_API_KEY was not sent: it is a key of"
    ) as caught:
        caller.run(chat, base_url=server.url)
    assert "canary" not in str(caught.value)
    assert server.requests[-1].header("authorization") is None


@every_kind
def test_error_texts(caller: Caller, server: Simulator) -> None:
    """The server's own words reach the message in each of vLLM's shapes, without control characters or pages."""
    shapes = [
        (b'{"error":{"message":"too long","type":"BadRequestError","code":400}}', "too long"),
        (b'{"error":"scaling"}', "scaling"),
        (b'{"detail":"Method Not Allowed"}', "Method Not Allowed"),
        (b'{"error":{"message":"red \\u001b[31m text"}}', "red  [31m text"),
    ]
    for body, words in shapes:
        server.reply_next(Reply(400, {"content-type": "application/json"}, body))
        with pytest.raises(openai.BadRequestError) as caught:
            caller.run(chat, base_url=server.url, api_key=KEY)
        assert words in str(caught.value)


def test_errors_pickle() -> None:
    """Our errors survive a trip to another process, fields and class included."""
    address = f"127.0.0.1:{closed_port()}"
    with OpenAI(base_url=address, max_retries=0) as client, pytest.raises(ServerUnreachable) as caught:
        client.models.list()
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is ServerUnreachable
    assert str(again) == str(caught.value)
    assert (again.server, again.reason, again.phase) == (
        caught.value.server,
        caught.value.reason,
        caught.value.phase,
    )


@every_kind
def test_proxy_is_bypassed_for_loopback(
    caller: Caller, server: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is not used for a server on this machine, which would show it the key."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert caller.run(chat, base_url=server.url, api_key=KEY).choices[0].message.content


@every_kind
def test_platform_variables_stay_here(
    caller: Caller, server: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_ADMIN_KEY and OPENAI_CUSTOM_HEADERS never reach a vLLM host."""
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Custom: canary")
    caller.run(lambda client: chat(client.with_options(timeout=5)), base_url=server.url, api_key=KEY)
    assert b"canary" not in b"".join(name + value for name, value in server.requests[-1].headers)


def test_unusable_certificate_file() -> None:
    """A CA file that is none is refused when the client is made, by name."""
    with pytest.raises(openai.OpenAIError, match=r"tls.ca: .*nowhere.pem"):
        OpenAI(base_url="https://gpu1", tls=Tls(ca="/nowhere.pem"))


def test_callers_own_exceptions_are_left_alone() -> None:
    """What a caller is handling when a call fails keeps its traceback: primary failed, try the backup."""
    address = f"127.0.0.1:{closed_port()}"
    kept = []
    try:
        int("the primary")
    except ValueError as primary:
        with OpenAI(base_url=address, max_retries=0) as client, pytest.raises(ServerUnreachable):
            client.models.list()
        kept.append(primary.__traceback__)
    assert kept[0] is not None


@every_kind
@pytest.mark.parametrize(
    ("timeouts", "timer", "seconds"),
    [
        (Timeouts(connect=0.3), "connect", 0.3),
        (Timeouts(connect=30, total=0.3), "total", 0.3),
    ],
)
def test_connect_timer(caller: Caller, timeouts: Timeouts, timer: str, seconds: float) -> None:
    """A connection that does not come about is told with the timer that ended it, and its setting."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        # A full backlog answers nobody, as a host that drops packets.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        with pytest.raises(DeadlineExceeded) as caught:
            caller.run(chat, base_url=f"127.0.0.1:{deaf.getsockname()[1]}", timeouts=timeouts, max_retries=0)
        for filler in fillers:
            filler.close()
    assert (caught.value.timer, caught.value.seconds) == (timer, seconds)


@pytest.mark.parametrize("proxied", [False, True])
def test_public_address_as_a_number(monkeypatch: pytest.MonkeyPatch, *, proxied: bool) -> None:
    """A public address written as a number is judged before anything leaves, behind a proxy of this machine too."""
    if proxied:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    client = OpenAI(base_url="http://203.0.113.9:8000", api_key=KEY)
    with client, pytest.raises(KeyRefused, match=r"203.0.113.9"):
        client.models.list()


def test_proxy_after_a_change_of_address(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assigning an address of this machine leaves the proxy of the environment behind."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    with OpenAI(base_url="http://10.1.2.3:8000", api_key=KEY, max_retries=0) as client:
        client.base_url = server.url
        assert client.models.list().data
