"""The machinery itself, by the standard library's own HTTP client: a broken client must not hide a broken server."""

import pytest

from tests.live.servers import Server

SERVERS = ["chat_server", "embed_server", "tls_server", "uds_server"]


@pytest.fixture(params=SERVERS)
def any_server(request: pytest.FixtureRequest) -> Server:
    server = request.getfixturevalue(request.param)
    assert isinstance(server, Server)
    return server


def test_every_server_is_healthy(any_server: Server) -> None:
    """/health answers 200 with nothing in it, and asks for no key."""
    reply = any_server.ask("GET", "/health")
    assert (reply.status, reply.body) == (200, b"")


def test_every_server_lists_the_names_it_was_given(any_server: Server) -> None:
    """/v1/models lists the served names in the order of the command line."""
    reply = any_server.ask("GET", "/v1/models", key=any_server.options.api_key)
    assert [model["id"] for model in reply.json()["data"]] == list(any_server.options.names)
