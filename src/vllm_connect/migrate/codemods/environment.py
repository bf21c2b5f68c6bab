"""`os.environ` and `os.getenv`: variables of OpenAI's that code sets, insists on, or falls back from."""

from __future__ import annotations

import libcst as cst

from vllm_connect.migrate.bindings import Bindings
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.configuration.judgement import ADDRESS, API_BASE, KEY, KEYS, OURS, REVOKE
from vllm_connect.migrate.configuration.requests import BARE, REQUEST, URL
from vllm_connect.migrate.trails import text_of
from vllm_connect.migrate.variables import is_address_of_openai, is_key_of_openai, is_placeholder, variable

__all__ = ["Environment"]

ADDRESSES = frozenset({"OPENAI_BASE_URL", "OPENAI_API_BASE"})
SETS = frozenset({"os.environ.setdefault", "os.putenv"})


class Environment(Codemod):
    """Variables as code sets and reads them; addresses of OpenAI's that it asks by hand."""

    rules = ()  # those of the files of settings
    words = ("openai",)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._targets: set[cst.CSTNode] = set()
        # Literals of which something is said where they are used.
        self._told: set[cst.CSTNode] = set()
        self._sets_ours = False

    def visit_Module(self, node: cst.Module) -> None:
        # One that sets ours somewhere knows what it does.
        self._sets_ours = any(name in self.sheet.module.code for name in OURS[:3])

    # -- set

    def visit_Assign(self, node: cst.Assign) -> None:
        names = [name for one in node.targets if (name := _set_by(one.target, self.sheet.bindings))]
        for name in names:
            self._set(node, name, node.value, names)

    def visit_Call(self, node: cst.Call) -> None:
        if not node.args:
            return
        trails = self.trails(node.func)
        name = text_of(node.args[0].value)
        if trails and trails <= SETS and name is not None and len(node.args) > 1:
            self._set(node, name, node.args[1].value, [], is_sure=False)
        elif trails == {"os.environ.update"}:
            for keyword in node.args:
                for name, value in _given(keyword):
                    self._set(keyword, name, value, [], is_sure=False)
        else:
            self._read(node)

    def _set(
        self,
        node: cst.CSTNode,
        name: str,
        value: cst.BaseExpression,
        names: list[str],
        *,
        is_sure: bool = True,
    ) -> None:
        text = text_of(value)
        if name in KEYS or name in ADDRESSES:
            self._told.add(value)
        if name in KEYS and not (text is not None and is_placeholder(text)):
            said = (
                "a key of the OpenAI platform stands in the source"
                if text and is_key_of_openai(text)
                else KEY.why
            )
            self.left(node, KEY, f"{name}: {said}")
        elif name in ADDRESSES and is_address_of_openai(value):
            self.left(
                node,
                ADDRESS,
                f"{name} is set to OpenAI's address",
                "Set VLLM_BASE_URL to your server instead.",
            )
        elif name == "OPENAI_API_BASE" and not set(names) & set(OURS):
            if is_sure:
                self.fixed(
                    node,
                    API_BASE,
                    "vllm_connect and the openai package since 1.0 do not read OPENAI_API_BASE; VLLM_BASE_URL is set too",
                    "Leave OPENAI_API_BASE out where neither LangChain, LlamaIndex nor litellm reads it.",
                )
            elif not self._sets_ours:
                self.left(node, API_BASE)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        names = [name for one in original_node.targets if (name := _set_by(one.target, self.sheet.bindings))]
        is_ours = bool(set(names) & set(OURS))
        if "OPENAI_API_BASE" not in names or is_ours or is_address_of_openai(original_node.value):
            return updated_node
        at = names.index("OPENAI_API_BASE")
        target = cst.ensure_type(updated_node.targets[at].target, cst.Subscript)
        ours = cst.SubscriptElement(cst.Index(cst.SimpleString('"VLLM_BASE_URL"')))
        more = cst.AssignTarget(target.with_changes(slice=[ours]))
        return updated_node.with_changes(targets=[*updated_node.targets, more])

    # -- read

    def _read(self, call: cst.Call) -> None:
        read = variable(call, self.sheet.bindings)
        if read is None or read.default is None:
            return
        text = text_of(read.default)
        self._told.add(read.default)
        if is_address_of_openai(read.default):
            self.left(
                call,
                ADDRESS,
                f"where {read.name} is not set, this falls back to OpenAI's address",
                "Leave the default out, and let vllm_connect find the address (VLLM_BASE_URL).",
            )
        elif read.name in KEYS and text is not None and is_key_of_openai(text):
            self.left(call, KEY, "a key of the OpenAI platform stands in the source")

    def visit_Subscript(self, node: cst.Subscript) -> None:
        read = variable(node, self.sheet.bindings)
        if read is not None and read.name in KEYS and node not in self._targets:
            self.left(
                node,
                KEY,
                f"KeyError where {read.name} is not set, and vllm_connect does not send it to your server",
                "Leave it out where it was for OpenAI's client; a key of your server is VLLM_API_KEY.",
            )

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self._targets.add(node.target)

    def visit_Del(self, node: cst.Del) -> None:
        self._targets.add(node.target)

    # -- requests by hand

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        text = text_of(node)
        if not text or node in self._told:
            return
        if URL.fullmatch(text) and not BARE.fullmatch(text):
            self.left(node, REQUEST)
        elif BARE.fullmatch(text) and is_address_of_openai(node):
            self.left(
                node,
                ADDRESS,
                "this is OpenAI's address: what is given it sends prompts there",
                "Leave it out where it is for a client: vllm_connect finds the address (VLLM_BASE_URL).",
            )
        elif " " not in text and is_key_of_openai(text):
            self.left(node, KEY, "a key of the OpenAI platform stands in the source", REVOKE)


def _set_by(target: cst.BaseExpression, bindings: Bindings) -> str | None:
    """Return the variable that an assignment to this sets, None where it is none."""
    read = variable(target, bindings) if isinstance(target, cst.Subscript) else None
    return None if read is None else read.name


def _given(argument: cst.Arg) -> list[tuple[str, cst.BaseExpression]]:
    """Return the names and values of an argument of `os.environ.update`."""
    if argument.keyword is not None:
        return [(argument.keyword.value, argument.value)]
    if isinstance(argument.value, cst.Dict):
        pairs = [one for one in argument.value.elements if isinstance(one, cst.DictElement)]
        return [(name, one.value) for one in pairs if (name := text_of(one.key)) is not None]
    return []
