"""`vllm-connect simulator`: a stand-in server to try things on."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Annotated, Literal

import typer

__all__ = ["simulator"]

Kind = Annotated[Literal["generate", "pooling"], typer.Option(help="What a vLLM server is started for.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 for any free port.")]
Names = Annotated[list[str] | None, typer.Option("--model", help="Served name; repeat for aliases.")]


def simulator(kind: Kind = "generate", port: Port = 8000, model: Names = None) -> None:
    """Run a stand-in vLLM server on this machine.

    It answers like vLLM, without a GPU or a model, until it is interrupted.
    """
    from vllm_connect.simulator import Simulator  # noqa: PLC0415  # only this command needs it

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    names = tuple(model or ("sim-model",))
    server = Simulator(kind=kind, port=port, models=names)
    try:
        server.start()
    except OSError as cause:
        typer.echo(f"vllm-connect: port {port} cannot be used: {cause.strerror}", err=True)
        raise typer.Exit(1) from None
    with server:
        typer.echo(f"{server.url} serves {', '.join(names)} ({kind}); Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            ended.wait()
