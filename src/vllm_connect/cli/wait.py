"""`vllm-connect wait`: until a server has loaded its model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vllm_connect.cli.options import Address, AskKey, Json, KeyFile, Profile, Url, arguments, client
from vllm_connect.cli.terminal import print_json, shown

if TYPE_CHECKING:
    from vllm_connect.discovery import Progress

__all__ = ["wait"]

Seconds = Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait at most.")]


def wait(
    address: Address = None,
    url: Url = None,
    profile: Profile = None,
    key_file: KeyFile = None,
    ask_key: AskKey = False,
    timeout: Seconds = 600.0,
    json: Json = False,
) -> None:
    """Wait until a server is ready; exit code 1 when it is not in time."""
    from vllm_connect.discovery import Ready  # noqa: PLC0415  # imports the SDK

    with client(arguments(address, url, profile, key_file, ask_key=ask_key)) as connected:
        server = str(connected.settings.endpoint)
        seconds = 0.0

        def report(progress: Progress) -> None:
            nonlocal seconds
            seconds = progress.elapsed
            if not isinstance(progress, Ready):
                line = f"{progress.elapsed:6.1f} s  {server}: {progress.answer}"
                print(shown(line), file=sys.stderr, flush=True)  # noqa: T201

        connected.wait_until_ready(timeout, report=report)
    if json:
        print_json({"server": server, "ready": True, "seconds": round(seconds, 3)})
    else:
        typer.echo(f"{server} is ready after {seconds:.1f} s")
