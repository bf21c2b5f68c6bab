"""Runs programs one after the other in one process, and tells the server between them which one comes.

`python -m tests.migrate.runner ROOT_URL PROGRAM...`; a line of JSON for each program says what became of it, and a last
one whom the process wanted to talk to but the server. Nothing leaves for anyone else.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import runpy
import sys
import traceback
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["MARK"]

MARK = "/program/"


class _Watch:
    """Sees every name that is looked up and every address that is connected to, in any thread."""

    def __init__(self, port: int | None) -> None:
        self._port = port
        self._others: set[str] = set()

    def begin(self) -> None:
        """Watch from now on; what was seen is told when the process ends, behind all that ends with it."""
        atexit.register(lambda: print(json.dumps({"others": sorted(self._others)})))  # noqa: T201
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            host, port = arguments[0], arguments[1]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host, port = arguments[1][0], arguments[1][1]
        else:
            return
        is_server = host in ("127.0.0.1", b"127.0.0.1") and port in (self._port, str(self._port), 0, None)
        if not is_server:
            self._others.add(f"{host}:{port}")
            raise ConnectionRefusedError(f"{host}:{port} is not the server")


def main() -> None:
    """Run the programs."""
    root, *programs = sys.argv[1:]
    _Watch(urllib.parse.urlsplit(root).port).begin()
    for program in programs:
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"{root}{MARK}{Path(program).stem}", timeout=10).close()
        failure, said = "", io.StringIO()
        sys.argv = [program]
        sys.path.insert(0, str(Path(program).parent))
        try:
            with contextlib.redirect_stdout(said):
                runpy.run_path(program, run_name="__main__")
        except SystemExit as end:
            failure = f"exit code {end.code}" if end.code else ""
        except BaseException:  # noqa: BLE001 - it is the parent's to judge
            failure = traceback.format_exc()
        sys.path.pop(0)
        print(json.dumps({"program": Path(program).stem, "failure": failure, "said": said.getvalue()}))  # noqa: T201


if __name__ == "__main__":
    main()
