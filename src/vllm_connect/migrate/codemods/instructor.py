"""instructor's modes, and the clients that it makes itself; checked against instructor 1.17.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst

from vllm_connect.migrate.arguments import added, keyword, rewritten, takes_more
from vllm_connect.migrate.client import CLIENTS
from vllm_connect.migrate.codemod import Sheet
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.framework import UNSEEN, Connection, Framework, positional
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["Instructor"]

PROVIDER = Rule(
    "instructor-provider",
    "A client of OpenAI's by instructor",
    Severity.BREAKS,
    "prompts go to api.openai.com",
    "Give base_url and api_key; checked against instructor 1.17.0.",
)
MODE = Rule(
    "instructor-mode",
    "A mode of instructor's that needs tools",
    Severity.BREAKS,
    "instructor forces a call of a tool, which vLLM refuses unless the server was started with --tool-call-parser",
    "Use instructor.Mode.JSON_SCHEMA, which every vLLM server holds the answer to.",
)

WAY = Connection(("base_url",), ("api_key",), frozenset({"organization"}))
PREFIX = "openai/"
FROM_PROVIDER = "instructor.from_provider"
FROM_OPENAI = frozenset({"instructor.from_openai", "instructor.patch", "instructor.apatch"})
# Each mode of tools, and what is in its place; None where the answer would be another.
MODES: Mapping[str, str | None] = {
    "TOOLS": "JSON_SCHEMA",
    "TOOLS_STRICT": "JSON_SCHEMA",
    "FUNCTIONS": "JSON_SCHEMA",
    "PARALLEL_TOOLS": None,
    "RESPONSES_TOOLS": None,
    "RESPONSES_TOOLS_WITH_INBUILT_TOOLS": None,
}
SCHEMA = "instructor.Mode.JSON_SCHEMA"


class Instructor(Framework):
    """`from_openai(client)` gets a mode that vLLM serves without tools, `from_provider("openai/...")` its server."""

    rules = (PROVIDER, MODE)
    words = ("instructor",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._is_renamed: dict[cst.Call, bool] = {}

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        node = positional(call, 0, "model") if self.trails(call.func) == {FROM_PROVIDER} else None
        return () if node is None else (node,)

    def look(self, call: cst.Call) -> None:
        for node in self.models(call):
            self._look_at(call, node)

    def _look_at(self, call: cst.Call, node: cst.BaseExpression) -> None:
        texts = [text_of(one) or "" for one in self.values(node)]
        self.names_served_model(node, PREFIX)
        if any(text.startswith(PREFIX) for text in texts):
            self._is_renamed[call] = self.can_be_directed(call, WAY) and self.renamed_model(
                node, self._new_name
            )

    def _new_name(self, text: str) -> str | None:
        new = f"{PREFIX}{self.served(text.removeprefix(PREFIX))}"
        return new if text.startswith(PREFIX) and new != text else None

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        if original_node in self._is_renamed:
            return self._provided(original_node, updated_node)
        functions = self.trails(original_node.func)
        client = original_node.args[0].value if original_node.args else None
        if functions and functions <= FROM_OPENAI and self.trails(client) and self._is_client(client):
            return self._with_mode(original_node, updated_node, at=1)
        return updated_node

    def _is_client(self, client: cst.BaseExpression | None) -> bool:
        return all(one.removesuffix("()") in CLIENTS for one in self.trails(client))

    def _provided(self, call: cst.Call, updated: cst.Call) -> cst.Call:
        if not self._is_renamed[call]:
            self.left(call, PROVIDER, UNSEEN)
            return updated
        changed = self.directed(call, updated, PROVIDER, WAY)
        return updated if changed is None else self._with_mode(call, changed, at=3)

    def _with_mode(self, call: cst.Call, changed: cst.Call, at: int) -> cst.Call:
        mode = positional(call, at, "mode")
        if mode is None:
            if takes_more(call) or not self.is_free(call, "instructor", "instructor"):
                self.left(call, MODE)
                return changed
            self.add_import("instructor")
            self.fixed(
                call, MODE, "mode is JSON_SCHEMA now: it was TOOLS, which needs a tool parser on the server"
            )
            return added(changed, "mode", cst.parse_expression(SCHEMA))
        return self._other_mode(call, changed, mode)

    def _other_mode(self, call: cst.Call, changed: cst.Call, mode: cst.BaseExpression) -> cst.Call:
        names = {one.removeprefix("instructor.Mode.") for one in self.trails(mode)}
        if not names or not names <= MODES.keys():
            return changed
        new = {MODES[name] for name in names}
        given = keyword(call, "mode")
        if None in new or not isinstance(mode, cst.Attribute):
            self.left(call, MODE)
            return changed
        self.fixed(
            mode, MODE, f"mode is JSON_SCHEMA now: {', '.join(names)} needs a tool parser on the server"
        )
        schema = mode.with_changes(attr=cst.Name("JSON_SCHEMA"))
        if given is not None:
            return rewritten(changed, "mode", lambda arg: arg.with_changes(value=schema))
        place = next(at for at, arg in enumerate(call.args) if arg.value is mode)
        args = [one.with_changes(value=schema) if at == place else one for at, one in enumerate(changed.args)]
        return changed.with_changes(args=args)
