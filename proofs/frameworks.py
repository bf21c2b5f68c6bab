"""Programs of frameworks, migrated and run: what arrives at the server, and that nothing goes elsewhere.

`./dev proof frameworks` makes two environments, as some of them need openai 3 and some refuse it. Each program of
`tests/migrate/programs/frameworks` is migrated by the command and run there. Its requests arrive with their model and
parameters, without OpenAI's key, and the process looks up no name and connects to no address but the server's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.migrate.arrivals import migrated, wrong_with
from tests.migrate.expected import CHAT, COMPLETIONS, EMBEDDINGS, Program, Request
from vllm_connect.simulator import Simulator

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "migrate" / "programs" / "frameworks"
ENVIRONMENT = {
    # These are headers of any client of the openai package; frameworks let them through.
    "OPENAI_ORG_ID": "",
    "OPENAI_PROJECT_ID": "",
    # Haystack keeps a key as the name of its variable, which has to be set.
    "VLLM_API_KEY": "EMPTY",
    # What frameworks ask others for by themselves: prices, usage.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
}
SCHEMA = ("tools", "tool_choice")


@dataclass(frozen=True)
class Group:
    """Programs that run in one environment against one server; without tools its server has no tool parser."""

    openai: str
    programs: Sequence[Program]
    is_pooling: bool = False
    has_tools: bool = False


OPENAI_3 = (
    Program(
        "langchain_chat",
        (
            Request(CHAT, {"model": "qwen", "temperature": 0, "max_completion_tokens": 32}),
            Request(CHAT, {"model": "qwen", "stream": True, "stream_options": {"include_usage": True}}),
        ),
    ),
    Program("langchain_azure", (Request(CHAT, {"model": "qwen", "temperature": 0.5}, lacks=SCHEMA),)),
    Program(
        "litellm_chat",
        (
            Request(CHAT, {"model": "qwen-small", "temperature": 0, "max_tokens": 16}),
            Request(COMPLETIONS, {"model": "qwen", "prompt": "vLLM is", "max_tokens": 8}),
            Request(CHAT, {"model": "qwen", "stream": True}),
        ),
    ),
    Program("litellm_router", (Request(CHAT, {"model": "qwen", "seed": 7}),)),
    Program("agents_run", (Request(CHAT, {"model": "qwen"}, lacks=SCHEMA),)),
    Program(
        "agents_classes",
        (
            Request(CHAT, {"model": "qwen", "stream": True, "temperature": 0.25}),
            Request(CHAT, {"model": "qwen-small"}),
        ),
    ),
    Program(
        "pydantic_ai_names",
        (
            Request(CHAT, {"model": "qwen", "temperature": 0, "max_completion_tokens": 32}),
            Request(CHAT, {"model": "qwen-small"}),
        ),
    ),
    Program(
        "pydantic_ai_classes",
        (
            Request(CHAT, {"model": "qwen", "stream": True}),
            Request(CHAT, {"model": "qwen-small", "stream": True}),
            Request(CHAT, {"model": "qwen", "stream": True}),
        ),
    ),
    Program("dspy_predict", (Request(CHAT, {"model": "qwen-small", "temperature": 0.3, "max_tokens": 64}),)),
    Program("haystack_pipeline", (Request(CHAT, {"model": "qwen", "temperature": 0, "max_tokens": 16}),)),
)
OPENAI_3_TOOLS = (
    Program(
        "langchain_agent",
        (
            Request(CHAT, {"model": "qwen-small", "temperature": 0}),
            Request(CHAT, {"model": "qwen"}),
            Request(CHAT, {"model": "qwen"}),
        ),
    ),
)
OPENAI_3_EMBEDDINGS = (
    Program(
        "langchain_embeddings",
        (
            Request(EMBEDDINGS, {"model": "bge", "input": ["vLLM serves models.", "Bread is baked."]}),
            Request(EMBEDDINGS, {"model": "bge", "input": ["What serves models?"]}),
        ),
    ),
    Program("litellm_embedding", (Request(EMBEDDINGS, {"model": "bge", "input": ["a", "b"]}),)),
    Program(
        "haystack_embedding",
        (
            Request(EMBEDDINGS, {"model": "bge", "input": ["vLLM serves models."]}),
            Request(EMBEDDINGS, {"model": "bge", "input": "What serves models?"}),
        ),
    ),
)
OPENAI_2 = (
    Program(
        "llamaindex_chat",
        (
            Request(CHAT, {"model": "qwen", "temperature": 0.2, "max_tokens": 32}),
            Request(CHAT, {"model": "qwen", "stream": True}),
            Request(CHAT, {"model": "qwen-small"}, lacks=SCHEMA),
        ),
    ),
    Program(
        "instructor_modes",
        (
            Request(CHAT, {"model": "qwen", "temperature": 0}, lacks=SCHEMA),
            Request(CHAT, {"model": "qwen"}, lacks=SCHEMA),
            Request(CHAT, {"model": "qwen-small"}, lacks=SCHEMA),
        ),
    ),
)
OPENAI_2_EMBEDDINGS = (
    Program(
        "llamaindex_index",
        (
            Request(EMBEDDINGS, {"model": "bge", "input": ["vLLM serves models.", "Bread is baked."]}),
            Request(EMBEDDINGS, {"model": "bge", "input": ["What serves models?"]}),
        ),
    ),
)
GROUPS = (
    Group("openai3", OPENAI_3),
    Group("openai3", OPENAI_3_TOOLS, has_tools=True),
    Group("openai3", OPENAI_3_EMBEDDINGS, is_pooling=True),
    Group("openai2", OPENAI_2),
    Group("openai2", OPENAI_2_EMBEDDINGS, is_pooling=True),
)


def main() -> int:
    """Run all of it; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--openai3", default=str(ROOT / ".venv-frameworks" / "bin" / "python"))
    parser.add_argument("--openai2", default=str(ROOT / ".venv-frameworks-openai2" / "bin" / "python"))
    parser.add_argument("--only", default="", help="programs whose names begin so")
    given = parser.parse_args()
    pythons = {"openai3": given.openai3, "openai2": given.openai2}
    wrong, count = dict(_unexpected()), 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = migrated(PROGRAMS, Path(scratch) / "programs")
        for group in GROUPS:
            programs = [one for one in group.programs if one.name.startswith(given.only)]
            if programs:
                wrong |= _wrong_in(group, programs, folder, pythons)
                count += len(programs)
    for name, problem in wrong.items():
        print(f"{name or 'a program'}: {problem}")
    print(f"{count} programs, {len(wrong.keys() - {''})} of them wrong")
    return int(bool(wrong))


def _wrong_in(
    group: Group, programs: Sequence[Program], folder: Path, pythons: Mapping[str, str]
) -> dict[str, str]:
    served = ("bge",) if group.is_pooling else ("qwen", "qwen-small")
    with Simulator(
        models=served,
        kind="pooling" if group.is_pooling else "generate",
        tool_call_parser="hermes" if group.has_tools else "",
    ) as server:
        return wrong_with(
            programs,
            folder,
            server,
            python=pythons[group.openai],
            seconds=300,
            environment=ENVIRONMENT | {"DSPY_CACHEDIR": str(folder / "dspy")},
        )


def _unexpected() -> Mapping[str, str]:
    """Return the programs that no group has."""
    expected = {one.name for group in GROUPS for one in group.programs}
    return {path.stem: "no group has it" for path in PROGRAMS.glob("*.py") if path.stem not in expected}


if __name__ == "__main__":
    sys.exit(main())
