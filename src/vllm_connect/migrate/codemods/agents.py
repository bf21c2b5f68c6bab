"""The OpenAI Agents SDK asks the vLLM server, and sends its traces nowhere; checked against openai-agents 0.24.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst

from vllm_connect.migrate.arguments import keyword, takes_more
from vllm_connect.migrate.codemod import Sheet
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import OPENAI_MODEL, Framework
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["Agents"]

DEFAULTS = Rule(
    "agents-defaults",
    "The OpenAI Agents SDK as it is set up by itself",
    Severity.BREAKS,
    "prompts and traces go to api.openai.com, with OPENAI_API_KEY",
    "Set the default client to vllm_connect's, the default API to chat_completions, and tracing off.",
)
KEY = Rule(
    "agents-key",
    "OpenAI's key for the Agents SDK",
    Severity.BREAKS,
    "the key goes wherever agents and traces go",
    "Take it out: the client takes its key from your settings.",
)
MODEL = Rule(
    "agents-model",
    "An agent's model by its name",
    Severity.BREAKS,
    "the server does not serve it, or the SDK takes what stands before a slash for a provider",
    'Name a served model; write "openai/NAME" where the name has a slash.',
)
HOSTED = Rule(
    "agents-hosted-tool",
    "A tool that OpenAI runs",
    Severity.BREAKS,
    "vLLM has no such tool: the SDK refuses it with chat completions",
    "Bring a function_tool that does the same, or an MCP server of your own.",
)

RUNS = frozenset(
    {
        f"{module}.Runner.{name}"
        for module in ("agents", "agents.run")
        for name in ("run", "run_sync", "run_streamed")
    }
)
CLIENT, API, TRACING = "set_default_openai_client", "set_default_openai_api", "set_tracing_disabled"
KEYS = frozenset({"agents.set_default_openai_key", "agents.set_tracing_export_api_key"})
# What sets a default, and what else shows that it is set.
SETUP: Mapping[str, tuple[str, frozenset[str]]] = {
    CLIENT: (f"{CLIENT}(AsyncOpenAI(), use_for_tracing=False)", frozenset()),
    API: (f'{API}("chat_completions")', frozenset()),
    TRACING: (f"{TRACING}(True)", frozenset({"set_trace_processors"})),
}
HOSTED_TOOLS = frozenset(
    f"{module}.{name}"
    for module in ("agents", "agents.tool")
    for name in (
        *("WebSearchTool", "FileSearchTool", "CodeInterpreterTool", "ImageGenerationTool", "HostedMCPTool"),
        *("ComputerTool", "LocalShellTool"),
    )
)
AGENTS = frozenset({"agents.Agent", "agents.agent.Agent"})
NAMING = AGENTS | {"agents.RunConfig", "agents.run.RunConfig", "agents.run_config.RunConfig"}
MODEL_CLASSES = frozenset(f"agents.{name}" for name in ("OpenAIResponsesModel", "OpenAIChatCompletionsModel"))
PREFIX = "openai/"


class Agents(Framework):
    """Where agents run, the default client is the drop-in's, over chat completions, without traces."""

    rules = (DEFAULTS, KEY, MODEL, HOSTED)
    words = ("from agents", "import agents")
    moves = {  # noqa: RUF012 - a ClassVar of the base
        "agents.OpenAIResponsesModel": ("agents", "OpenAIChatCompletionsModel"),
        "agents.models.openai_responses.OpenAIResponsesModel": (
            "agents.models.openai_chatcompletions",
            "OpenAIChatCompletionsModel",
        ),
    }

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._is_run = False
        self._called: set[str] = set()
        self._gone: set[cst.CSTNode] = set()

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        trails = self.trails(call.func)
        given = keyword(call, "model") if trails and trails <= NAMING else None
        return () if given is None else (given.value,)

    def look(self, call: cst.Call) -> None:
        trails = self.trails(call.func)
        if trails and trails <= RUNS:
            self._is_run = True
        self._called |= {one.removeprefix("agents.") for one in trails if one.startswith("agents.")}
        if trails and trails <= MODEL_CLASSES:
            self.named_by_place(call)
        if trails and trails <= NAMING:
            self._named(call)

    def visit_Call(self, node: cst.Call) -> None:
        trails = self.trails(node.func)
        if trails and trails <= HOSTED_TOOLS:
            self.left(node, HOSTED)
        if trails and trails <= AGENTS and keyword(node, "model") is None and not takes_more(node):
            self.left(
                node,
                MODEL,
                "it names no model: the SDK's own choice is one of OpenAI's",
                "Give model=, or set OPENAI_DEFAULT_MODEL to a served model.",
            )
        if trails and trails <= self.moves.keys():
            self.fixed(
                node, DEFAULTS, "it asks for chat completions now: vLLM keeps no responses for what follows"
            )

    def _named(self, call: cst.Call) -> None:
        given = keyword(call, "model")
        if given is None:
            return
        texts = [text_of(one) or "" for one in self.values(given.value)]
        self.names_served_model(given.value, PREFIX)
        if any(self._new_name(text) for text in texts):
            if self.renamed_model(given.value, self._new_name):
                self.fixed(
                    given,
                    MODEL,
                    "it names a served model, in the form that the SDK does not take for a provider",
                )
            else:
                self.left(given, MODEL)
        elif any(text.startswith(("litellm/", "any-llm/")) for text in texts):
            self.left(given, MODEL, "another library sends this, by the name of its provider")

    def _new_name(self, text: str) -> str | None:
        """Return the name of a served model as the SDK sends it on, None where it is that already."""
        name = text.removeprefix(PREFIX)
        if not (text.startswith(PREFIX) or OPENAI_MODEL.match(text)) or name not in self.options.models:
            return None
        served = self.served(name)
        if text.startswith(PREFIX) or "/" in served:
            return f"{PREFIX}{served}"
        return None  # a plain name for a plain one is what is done for all literals

    # -- defaults

    def leave_Expr(self, original_node: cst.Expr, updated_node: cst.Expr) -> cst.Expr | cst.RemovalSentinel:
        match original_node.value:
            case cst.Call(func=function) if self.trails(function) and self.trails(function) <= KEYS:
                self.fixed(
                    original_node,
                    KEY,
                    "it is gone: OpenAI's key is neither for the vLLM server nor for traces",
                )
                return cst.RemoveFromParent()
            case _:
                return updated_node

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        missing = self._missing()
        if not missing:
            return updated_node
        for name in missing:
            self.add_import("agents", name)
        if CLIENT in missing:
            self.add_import("vllm_connect", "AsyncOpenAI")
        told = {
            CLIENT: "agents ask the vLLM server, by the drop-in client",
            API: "by chat completions",
            TRACING: "traces, which went to OpenAI, are off",
        }
        self.fixed(
            original_node.body[0] if original_node.body else original_node,
            DEFAULTS,
            ", ".join(told[one] for one in missing),
        )
        lines = [cst.parse_statement(SETUP[name][0]) for name in missing]
        at = _behind_imports(updated_node.body)
        lines[0] = lines[0].with_changes(leading_lines=[cst.EmptyLine(indent=False)])
        return updated_node.with_changes(body=[*updated_node.body[:at], *lines, *updated_node.body[at:]])

    def _missing(self) -> Sequence[str]:
        """Return what has to be set in this module: it runs agents, and nothing of the project sets it."""
        if not self._is_run or not self._can_be_set_up():
            return ()
        return [
            name
            for name, (_, others) in SETUP.items()
            if not {name, *others} & self._called and not self._is_elsewhere({name, *others})
        ]

    def _can_be_set_up(self) -> bool:
        """Whether `AsyncOpenAI` is a client's name here, or none yet."""
        first = self.sheet.module.body[0]
        return self.is_free(first, "AsyncOpenAI", "openai.AsyncOpenAI", "vllm_connect.AsyncOpenAI")

    def _is_elsewhere(self, names: set[str]) -> bool:
        wanted = {f"agents.{name}" for name in names}
        return any(
            wanted & trails
            for file, exports in self.sheet.project.modules.items()
            if file != self.sheet.file
            for trails in exports.values()
        )


def _behind_imports(body: Sequence[cst.CSTNode]) -> int:
    """Return the place behind the last import of a module's top level."""
    places = [
        at
        for at, statement in enumerate(body)
        if isinstance(statement, cst.SimpleStatementLine)
        and any(isinstance(one, cst.Import | cst.ImportFrom) for one in statement.body)
    ]
    return places[-1] + 1 if places else 0
