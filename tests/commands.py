"""The command line as users have it: on pipes, in a process of its own, at a terminal."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from types import TracebackType
from typing import Any, Self
from unittest import mock

import pytest

from vllm_connect.cli import main

__all__ = ["COMMAND", "PROMPT", "Terminal", "run", "run_process"]

COMMAND = (sys.executable, "-m", "vllm_connect")
WITHIN = 30.0
PROMPT = "\n> "
# A process gets Ctrl-C from a terminal only if it is the one that it belongs to.
TAKE_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


def run(*arguments: str, stdin: str | bytes = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a text piped in; in this process, as importing the SDK takes a second."""
    streams = [_pipe(stdin), _pipe(), _pipe()]
    with (
        mock.patch.dict(os.environ, environ),
        mock.patch.multiple(sys, argv=["vllm-connect", *arguments]),
        mock.patch.multiple(sys, **dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))),
        warnings.catch_warnings(),
        pytest.raises(SystemExit) as ended,
    ):
        warnings.simplefilter("default")
        main()
    code = ended.value.code
    assert isinstance(code, int)
    written = [stream.buffer.getvalue().decode() for stream in streams[1:]]
    return subprocess.CompletedProcess(arguments, code, *written)


def _pipe(content: str | bytes = "") -> Any:
    given = content.encode() if isinstance(content, str) else content
    return io.TextIOWrapper(io.BytesIO(given), encoding="utf-8", write_through=True)


def run_process(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a process of its own, with nothing piped in."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Terminal:
    """A command at a pseudo-terminal: what it shows, and what is typed there."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", **environ},
            start_new_session=True,
        )
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._seen = 0
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        r"""Type a text; `\r` is Enter, `\x04` Ctrl-D."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C, no sooner after an echo than people do: CPython misses a signal just before it waits."""
        time.sleep(0.2)
        os.write(self._ours, b"\x03")

    def wait_for(self, mark: str) -> str:
        """Return what was shown since the last mark, up to this one; fails when it does not come in time."""
        deadline = time.monotonic() + WITHIN
        while mark not in self.shown[self._seen :]:
            if not self._read(deadline):
                raise AssertionError(f"{mark!r} was not shown; the terminal showed {self.shown!r}")
        end = self.shown.index(mark, self._seen) + len(mark)
        found, self._seen = self.shown[self._seen : end], end
        return found

    def say(self, text: str, mark: str = PROMPT) -> str:
        """Type a line; return what is shown up to a mark, by default the next prompt."""
        self.type(f"{text}\r")
        return self.wait_for(mark)

    def exit_code(self) -> int:
        """Return the exit code, when the command has ended."""
        deadline = time.monotonic() + WITHIN
        while self._read(deadline):
            pass
        return self._process.wait(max(deadline - time.monotonic(), 1))

    def _read(self, deadline: float) -> bool:
        """Take in what comes next; return whether there may be more."""
        readable, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
        if not readable:
            return False
        try:
            piece = os.read(self._ours, 65536)
        except OSError as cause:
            # Linux says so where the other end is closed; macOS ends the file.
            if cause.errno != errno.EIO:
                raise
            piece = b""
        self.shown += self._decoder.decode(piece)
        return bool(piece)
