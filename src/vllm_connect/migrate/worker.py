"""A process of its own that looks at files: one that hangs or dies takes nothing else with it."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from vllm_connect.migrate.migration import file_exports, migrated_file
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.task import Begin, Look, Migrate


def main() -> None:
    """Answer until the other end closes."""
    connection = Connection(int(sys.argv[1]))
    project, options = Project(), Options()
    while True:
        try:
            match connection.recv():
                case Begin(project, options):
                    pass
                case Look(path):
                    connection.send(file_exports(path, project))
                case Migrate(path):
                    connection.send(migrated_file(path, project, options))
        except (EOFError, BrokenPipeError, KeyboardInterrupt):
            return


if __name__ == "__main__":
    main()
