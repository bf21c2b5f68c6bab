"""Processes that leave nothing behind, however the process that started them ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

# A server ends within a second; one that is loading hears SIGTERM only when it has loaded, and has nothing to lose.
STOPS_WITHIN = 5.0

# Its standard input ends when this process ends, even by SIGKILL, when no `finally` of ours is run.
WATCHDOG = """
import os, signal, sys
group = sys.stdin.readline()
sys.stdin.read()
if group:
    os.killpg(int(group), signal.SIGKILL)
"""


@contextlib.contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, all of which has ended when the context is left."""
    with watchdog() as told, log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            print(process.pid, file=told, flush=True)
            yield process
        finally:
            end_group(process)


@contextlib.contextmanager
def watchdog() -> Iterator[IO[str]]:
    """Kill the process group whose number is written to the yielded file, should this process die meanwhile."""
    # In a session of its own: Ctrl-C in the terminal must not reach it.
    with subprocess.Popen(
        [sys.executable, "-I", "-c", WATCHDOG], stdin=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        try:
            yield process.stdin
        finally:
            process.kill()


def end_group(leader: subprocess.Popen[bytes]) -> None:
    """Ask the leader to end its children and itself, and kill what is left after that."""
    # The leader alone: children that ended before it could wait for them would stay as zombies in a container.
    leader.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        leader.wait(STOPS_WITHIN)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
