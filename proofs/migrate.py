"""The migration on a large corpus: nothing that does not use OpenAI changes, nothing crashes: `./dev proof migrate`.

The corpus is the standard library, the installed packages and what `--also FOLDER` names. Then the time of 1,000 files:
those of the standard library, and 1,000 programs that all use OpenAI.
"""

from __future__ import annotations

import argparse
import re
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from vllm_connect.migrate.migration import Outcome
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.run import Finished, migration

MODELS = {"gpt-4o": "qwen", "gpt-4": "qwen", "gpt-3.5-turbo": "qwen"}
# By other means than the migration's own: what imports one of these, or names one of OpenAI's variables.
USES_OPENAI = re.compile(
    r"^[ \t>]*(?:\"\s*)?(?:import|from)[ \t]+(?:openai|litellm|dspy|langchain|instructor|llama_index|tiktoken"
    r"|agents|pydantic_ai|haystack|vllm_connect)\b|OPENAI_|\bopenai\b",
    re.MULTILINE,
)
PROGRAMS = Path(__file__).parents[1] / "tests" / "migrate" / "programs"
MANY = 1000
MOST_SECONDS = 60.0


def main() -> int:
    """Run all of it; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--also", type=Path, action="append", default=[], help="a further folder of the corpus"
    )
    also = parser.parse_args().also
    problems = [problem for root in [*_corpus(), *also] for problem in _looked_at(root)]
    problems += list(_timed())
    print(*problems, sep="\n")
    print(f"{len(problems)} problems")
    return int(bool(problems))


def _corpus() -> list[Path]:
    paths = sysconfig.get_paths()
    return [Path(paths["stdlib"]), Path(paths["purelib"])]


def _looked_at(root: Path) -> Iterator[str]:
    finished = _run(root)
    changed = [one for one in finished.outcomes if one.content is not None]
    print(
        f"{root}: {finished.files} files, {len(finished.outcomes)} of them looked at, {finished.seconds:.0f} s; "
        f"{len(changed)} would change, {sum(len(one.findings) for one in finished.outcomes)} findings"
    )
    for one in finished.outcomes:
        yield from _problems(one)


def _problems(outcome: Outcome) -> Iterator[str]:
    if outcome.is_crash:
        yield f"{outcome.path}: {outcome.findings[0].message}"
    if outcome.content is not None and not USES_OPENAI.search(outcome.before):
        yield f"{outcome.path}: changed, and does not use OpenAI"
    if outcome.content is not None and outcome.path.suffix == ".py":
        try:
            compile(outcome.after, str(outcome.path), "exec", dont_inherit=True)
        except SyntaxError as wrong:
            yield f"{outcome.path}: no Python any more: {wrong}"


def _timed() -> Iterator[str]:
    library = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("**/*.py"))[:MANY]
    yield from _within("files of the standard library", library)
    with tempfile.TemporaryDirectory() as folder:
        programs = sorted(PROGRAMS.glob("*.py"))
        copies = [Path(folder, f"program_{number}.py") for number in range(MANY)]
        for number, copy in enumerate(copies):
            copy.write_bytes(programs[number % len(programs)].read_bytes())
        yield from _within("programs that use OpenAI", copies)


def _within(what: str, files: list[Path]) -> Iterator[str]:
    began = time.monotonic()
    _run(*files)
    seconds = time.monotonic() - began
    print(f"{len(files)} {what}: {seconds:.1f} s")
    if seconds > MOST_SECONDS:
        yield f"{len(files)} {what} took longer than {MOST_SECONDS:.0f} s"


def _run(*paths: Path) -> Finished:
    finished = None
    for event in migration(paths, Options(models=MODELS)):
        finished = event if isinstance(event, Finished) else finished
    assert finished is not None
    return finished


if __name__ == "__main__":
    raise SystemExit(main())
