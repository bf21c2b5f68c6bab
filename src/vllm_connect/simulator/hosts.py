"""Where a server runs: in a thread of this process, or in a process of its own; both are given the same commands."""

import asyncio
import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import IO, Any, Final, Protocol

from vllm_connect.simulator.control import (
    Answered,
    Command,
    Event,
    Failed,
    Listening,
    Message,
    Settle,
    decode,
    encode,
)
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.service import Service

_CHILD: Final = (sys.executable, "-m", "vllm_connect.simulator", "--controlled")
_STOP_SECONDS: Final = 10.0
_SHOWN_STDERR: Final = 4000
Tell = Callable[[Event], None]


class SimulatorDied(RuntimeError):
    """The server's own process ended by itself; the message has what it wrote to stderr."""


class Host(Protocol):
    """What runs a server."""

    @property
    def pid(self) -> int | None:
        """The process that is the server's own, if any."""

    def start(self) -> int:
        """Start it; returns its port, or raises the OSError or ValueError that it ended in."""

    def ask(self, command: Command) -> Any:
        """Have a command carried out; returns its answer."""

    def settle(self) -> None:
        """Wait until all that happened has been told, as far as the server can tell."""

    def stop(self) -> None:
        """End it."""


class ThreadHost:
    """A server in a thread with an event loop of its own."""

    def __init__(self, options: Options, tell: Tell) -> None:
        self._options = options
        self._tell = tell
        self._service: Service | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="vllm-simulator", daemon=True)

    @property
    def pid(self) -> int | None:
        return None

    def start(self) -> int:
        self._thread.start()
        return self._listening.result()

    def ask(self, command: Command) -> Any:
        assert self._service
        assert self._loop
        return asyncio.run_coroutine_threadsafe(self._service.carry_out(command), self._loop).result()

    def settle(self) -> None:
        """Nothing is under way: what happens in a thread is told as it happens."""

    def stop(self) -> None:
        if self._loop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._listening.done():
                raise
            self._listening.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._service = Service(self._options, self._tell)
        await self._service.start()
        self._listening.set_result(self._service.port)
        await self._stopping.wait()
        await self._service.stop()


class ProcessHost:
    """A server in a process of its own, which ends with its standard input, and so with its owner."""

    def __init__(self, options: Options, tell: Tell) -> None:
        self._options = options
        self._tell = tell
        self._asking = threading.Lock()
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._is_paused = self._is_killed = False

    @property
    def pid(self) -> int | None:
        return self._running.pid

    def start(self) -> int:
        # In a process group of its own, Ctrl-C at a terminal reaches only its owner.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, name="vllm-simulator-reader", daemon=True)
        self._reader.start()
        try:
            started = self._exchange(self._options)
        except SimulatorDied:
            self._close()
            raise
        if isinstance(started, Failed):
            self.stop()
            raise started.error()
        assert isinstance(started, Listening)
        return started.port

    def ask(self, command: Command) -> Any:
        if self._is_paused:
            raise RuntimeError("the server is paused and hears nothing; resume() it first")
        answered = self._exchange(command)
        assert isinstance(answered, Answered)
        return answered.value

    def settle(self) -> None:
        if not self._is_paused and not self._is_killed:
            self.ask(Settle())

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)
        self._is_paused = True
        if hasattr(os, "waitid"):  # not on every macOS
            os.waitid(os.P_PID, self._running.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self._is_paused = False

    def kill(self) -> None:
        self._is_killed = True
        self._signal(signal.SIGKILL)
        self._running.wait()
        assert self._reader
        self._reader.join()  # what it had told is kept

    def stop(self) -> None:
        process = self._running
        if self._is_paused:
            self.resume()
        has_ended_itself = process.poll() is not None and not self._is_killed
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        death = self._death() if has_ended_itself and process.returncode else None
        self._close()
        if death:
            raise death

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        if self._running.poll() is not None and not self._is_killed:
            raise self._death()
        self._running.send_signal(number)

    def _exchange(self, message: Message) -> Message:
        stdin = self._running.stdin
        assert stdin
        with self._asking:
            try:
                stdin.write(encode(message))
                stdin.flush()
            except (BrokenPipeError, ValueError):
                raise self._death() from None
            answer = self._answers.get()
        if answer is None:
            raise self._death()
        return answer

    def _read(self) -> None:
        """Sort what the process says into answers and events; runs in a thread of its own."""
        assert self._running.stdout
        for line in self._running.stdout:
            message = decode(line)
            if isinstance(message, Answered | Listening | Failed):
                self._answers.put(message)
            else:
                self._tell(message)
        self._answers.put(None)

    def _close(self) -> None:
        """Let go of what the process, which has ended, leaves behind."""
        assert self._reader
        self._reader.join()
        for stream in (self._running.stdin, self._running.stdout, self._stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _death(self) -> SimulatorDied:
        if self._is_killed:
            return SimulatorDied("the server was killed; start a new one")
        self._running.wait()
        self._stderr.seek(0)
        told = self._stderr.read()[-_SHOWN_STDERR:].decode(errors="replace").strip()
        code = self._running.returncode
        return SimulatorDied(f"the server's process {self._running.pid} ended with code {code}: {told}")


def serve_controlled(lines: Iterable[bytes], write: Callable[[bytes], object]) -> None:
    """Be the process of a ProcessHost: options first, then commands, until there are no more."""
    writing = threading.Lock()

    def tell(message: Message) -> None:
        # An owner that is gone hears nothing more, and its end of the input ends this.
        with writing, contextlib.suppress(BrokenPipeError):
            write(encode(message))

    commands = map(decode, lines)
    options = next(commands, None)
    if options is None:
        return
    host = ThreadHost(options, tell)
    try:
        tell(Listening(host.start()))
    except (OSError, ValueError) as error:
        is_os_error = isinstance(error, OSError)
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        tell(Failed(is_os_error, error.errno if isinstance(error, OSError) else None, text))
        return
    for command in commands:
        tell(Answered(host.ask(command)))
    host.stop()
