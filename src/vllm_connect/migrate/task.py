"""What a worker is told and asked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project

__all__ = ["Begin", "Look", "Migrate", "Task"]


class Begin(NamedTuple):
    """What is known of the project from now on."""

    project: Project
    options: Options


class Look(NamedTuple):
    """Answered by what a module hands on."""

    path: Path


class Migrate(NamedTuple):
    """Answered by what becomes of a file."""

    path: Path


Task = Look | Migrate
