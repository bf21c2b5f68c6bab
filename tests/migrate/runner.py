"""Runs programs one after the other in one process, and tells the server between them which one comes.

`python -m tests.migrate.runner ROOT_URL PROGRAM...`; a line of JSON for each program says what became of it.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
import traceback
import urllib.error
import urllib.request
from pathlib import Path

__all__ = ["MARK"]

MARK = "/program/"


def main() -> None:
    """Run the programs."""
    root, *programs = sys.argv[1:]
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
