"""A migration from paths to outcomes, as events: files are looked at by several processes, each within a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from vllm_connect.migrate.migration import Outcome, failed, name_of
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.python import CRASH, UNPARSED
from vllm_connect.migrate.source import Unreadable, kind_of, read
from vllm_connect.migrate.task import Begin, Look, Migrate, Task
from vllm_connect.migrate.walk import files_of

__all__ = ["Event", "Finished", "Looked", "Started", "migration"]

MOST_WORKERS = 8
# A worker takes a second to come up.
START_SECONDS = 20.0
# Where this package is, also for a process that PYTHONPATH tells by a path from another folder.
HOME = str(Path(__file__).resolve().parents[2])


class Started(NamedTuple):
    """So many files were found, and so many of them are worth a look."""

    files: int
    relevant: int


class Looked(NamedTuple):
    """So many files were looked at."""

    done: int


class Finished(NamedTuple):
    """What became of each file that is worth a look, in the order of the paths, and how long it took."""

    outcomes: tuple[Outcome, ...]
    files: int
    seconds: float


Event = Started | Looked | Finished


def migration(paths: Sequence[Path], options: Options, workers: int | None = None) -> Iterator[Event]:
    """Yield what happens while the files below these paths are looked at; nothing is written.

    Raises FileNotFoundError for a path that is not there.
    """
    began = time.monotonic()
    files = files_of(paths)
    relevant, outcomes = _relevant(files)
    yield Started(len(files), len(relevant))
    project = Project({name_of(path): {} for path in files if kind_of(path) in ("python", "other")})
    modules = _modules(files, relevant, project)
    count = min(workers or _processors(), MOST_WORKERS, max(len(relevant), 1))
    with _Workers(count, options) as crew:
        if len(modules) > 1:
            for path, exports in crew.answers([Look(path) for path in modules], project):
                project.modules[name_of(path)] = exports if isinstance(exports, Mapping) else {}
        for done, (path, answer) in enumerate(crew.answers([Migrate(path) for path in relevant], project), 1):
            outcomes[path] = answer if isinstance(answer, Outcome) else failed(path, CRASH, str(answer))
            yield Looked(done)
    ordered = tuple(outcomes[path] for path in files if path in outcomes)
    yield Finished(ordered, len(files), time.monotonic() - began)


def _relevant(files: Sequence[Path]) -> tuple[list[Path], dict[Path, Outcome]]:
    """Return the files that are worth a look, and the outcomes of those that cannot be read."""
    relevant, outcomes = [], {}
    for path in files:
        try:
            if read(path) is not None:
                relevant.append(path)
        except Unreadable as wrong:
            outcomes[path] = failed(path, UNPARSED, str(wrong))
        except OSError as wrong:
            outcomes[path] = failed(path, UNPARSED, f"it cannot be read: {wrong.strerror or wrong}")
        except Exception as wrong:  # noqa: BLE001 - a crash is a finding, and the run goes on
            outcomes[path] = failed(path, CRASH, f"{CRASH.why}: {type(wrong).__name__}")
    return relevant, outcomes


def _modules(files: Sequence[Path], relevant: Sequence[Path], project: Project) -> list[Path]:
    """Return the modules whose names matter: also packages of relevant ones, which need not name openai themselves."""
    wanted = {path for path in relevant if name_of(path) in project.modules}
    packages = {folder / "__init__.py" for path in wanted for folder in path.parents}
    return [path for path in files if path in wanted or path in packages]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Failure(str):
    """Why there is no answer to a task."""

    __slots__ = ()


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    task: Task | None = None
    until: float = 0.0
    is_up: bool = False


class _Workers:
    """Processes that answer tasks; one that takes too long, or dies, is replaced, and its task answered by that."""

    def __init__(self, count: int, options: Options) -> None:
        self._count = count
        self._options = options
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            _end(worker)

    def answers(self, tasks: Sequence[Task], project: Project) -> Iterator[tuple[Path, Any]]:
        """Yield each task's path and its answer, as they come; a text says why there is none."""
        waiting = deque(tasks)
        for worker in self._workers:
            worker.connection.send(Begin(project, self._options))
        while waiting or any(one.task for one in self._workers):
            self._assign(waiting, project)
            for worker, answer in self._next():
                task, worker.task = worker.task, None
                assert task is not None
                worker.is_up = True
                if isinstance(answer, _Failure):
                    self._workers.remove(worker)
                    _end(worker)
                yield task.path, answer

    def _assign(self, waiting: deque[Task], project: Project) -> None:
        while waiting and len(self._workers) < self._count:
            worker = _begun()
            worker.connection.send(Begin(project, self._options))
            self._workers.append(worker)
        for worker in self._workers:
            if waiting and worker.task is None:
                worker.task = waiting.popleft()
                worker.until = (
                    time.monotonic() + self._options.seconds + (0 if worker.is_up else START_SECONDS)
                )
                worker.connection.send(worker.task)

    def _next(self) -> Iterator[tuple[_Worker, Any]]:
        busy = [one for one in self._workers if one.task is not None]
        left = min(one.until for one in busy) - time.monotonic()
        ready = set(wait([one.connection for one in busy], max(left, 0)))
        for worker in busy:
            if worker.connection in ready:
                try:
                    yield worker, worker.connection.recv()
                except (EOFError, OSError):
                    yield (
                        worker,
                        _Failure(
                            f"{CRASH.why}: its process died, as LibCST does of an expression of thousands of parts"
                        ),
                    )
            elif worker.until <= time.monotonic():
                yield worker, _Failure(f"{CRASH.why}: no end after {self._options.seconds:g} s")


def _begun() -> _Worker:
    ours, theirs = Pipe()
    with theirs, ExitStack() as on_error:
        on_error.callback(ours.close)
        # -P: what lies in the folder that is migrated must not stand in for what is imported.
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [sys.executable, "-P", "-m", "vllm_connect.migrate.worker", str(theirs.fileno())],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, (HOME, os.environ.get("PYTHONPATH")))),
            },
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is ours to answer, and not that of each worker
        )
        on_error.pop_all()
    return _Worker(process, ours)


def _end(worker: _Worker) -> None:
    worker.connection.close()
    worker.process.kill()
    worker.process.wait()
