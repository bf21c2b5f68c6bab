"""`vllm-connect wait`: until a server has loaded its model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vllm_connect.cli.options import Connection, Json, connecting
from vllm_connect.cli.terminal import print_json, shown

if TYPE_CHECKING:
    from vllm_connect.discovery import Progress

__all__ = ["wait"]

Seconds = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait at most.")
]


@connecting
def wait(connection: Connection, timeout: Seconds = 600.0, json: Json = False) -> None:
    """Wait until a server is ready, or one of several replicas.

    A vLLM server refuses connections while it loads its model. Exit code 1 when it is not ready in time.
    """
    from vllm_connect.discovery import Ready  # noqa: PLC0415  # imports the SDK

    with connection.client() as client:
        several = len(client.settings.endpoints)
        server = f"one of {several} replicas" if several > 1 else str(client.settings.endpoint)
        seconds = 0.0

        def report(progress: Progress) -> None:
            nonlocal seconds
            seconds = progress.elapsed
            if not isinstance(progress, Ready):
                line = f"{progress.elapsed:6.1f} s  {server}: {progress.answer}"
                print(shown(line), file=sys.stderr, flush=True)  # noqa: T201

        client.wait_until_ready(timeout, report=report)
    if json:
        print_json({"server": server, "ready": True, "seconds": round(seconds, 3)})
    else:
        typer.echo(f"{server} is ready after {seconds:.1f} s")
