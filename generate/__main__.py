"""Rewrites the generated files: `./dev generate`; with --check it only says which are stale."""

from __future__ import annotations

import sys
from pathlib import Path

from generate import commands, errors, keys, migrate, outcomes, parameters, signatures, simulator

ROOT = Path(__file__).parent.parent
GENERATED = {
    "docs/commands.md": commands.source,
    "docs/errors.md": errors.source,
    "docs/keys.md": keys.source,
    "docs/outcomes.md": outcomes.source,
    "docs/parameters.md": parameters.source,
    "docs/simulator.md": simulator.source,
    "src/vllm_connect/client/signatures.py": signatures.source,
    **migrate.pages(),
}


def stale() -> list[str]:
    """Return the generated files whose text is not what their generator makes today."""
    return [
        name
        for name, make in GENERATED.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> int:
    """Write what is stale, or only name it."""
    names = stale()
    for name in names:
        print(name)
        if "--check" not in sys.argv:
            (ROOT / name).parent.mkdir(exist_ok=True)
            (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
    return int(bool(names) and "--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
