"""A gateway in front of a server: it answers some paths itself and passes the others on."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from vllm_connect.simulator import Reply

__all__ = ["gateway"]


@contextmanager
def gateway(server: str, own: Mapping[str, Reply]) -> Iterator[str]:
    """Run a gateway before the server at this URL and yield its own; "*" stands for every path but /v1/models.

    "PATH stream" is its reply to what asks for a stream, "PATH structured_outputs" to what is held to some.
    """
    behind = urlsplit(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two meet Nagle's delay

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = self.path.partition("?")[0]
            marks = {"stream": b'"stream":true', "structured_outputs": b'"structured_outputs":'}
            asked = next(
                (
                    own[f"{path} {name}"]
                    for name, mark in marks.items()
                    if mark in body and f"{path} {name}" in own
                ),
                None,
            )
            reply = asked or own.get(path) or (None if path == "/v1/models" else own.get("*"))
            self.send(self.passed_on(body) if reply is None else reply)

        def passed_on(self, body: bytes) -> Reply:
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            kept = {"content-type": response.headers.get("content-type", "")}
            reply = Reply(response.status, kept, response.read())
            connection.close()
            return reply

        def send(self, reply: Reply) -> None:
            time.sleep(reply.delay)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = answer  # noqa: N815  # the standard library's names

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as front:
        thread = threading.Thread(target=front.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{front.server_address[1]}"
        finally:
            front.shutdown()
            thread.join()
