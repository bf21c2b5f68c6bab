"""OpenAI's and Azure's clients become the drop-in, their arguments what it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import libcst as cst
from libcst.metadata import ClassScope, GlobalScope, ImportAssignment, Scope

from vllm_connect.migrate.arguments import (
    keyword,
    keyword_names,
    rewritten,
    takes_more,
    without,
    without_elements,
)
from vllm_connect.migrate.client import AZURE, CLIENTS
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.project import Trails
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of
from vllm_connect.migrate.variables import is_address_of_openai, is_key_of_openai, is_placeholder, variable

__all__ = ["Clients"]

CLIENT = Rule(
    "client-class",
    "A client of the openai package",
    Severity.BREAKS,
    "without an address it sends prompts to api.openai.com, and it sends OPENAI_API_KEY wherever it goes",
    "Use vllm_connect.OpenAI, which takes address, key and model from your settings.",
)
AZURE_CLIENT = Rule(
    "azure-client",
    "A client for Azure's OpenAI",
    Severity.BREAKS,
    "Azure's routes, api_version and deployments do not exist on vLLM",
    "Set VLLM_BASE_URL to your server; name a served model where a deployment was named.",
)
ARGUMENT = Rule(
    "platform-argument",
    "An argument of the OpenAI platform",
    Severity.BREAKS,
    "it means nothing to vLLM, and the drop-in refuses some of these",
    "Leave it out.",
)
ADDRESS = Rule(
    "openai-address",
    "OpenAI's address in the code",
    Severity.BREAKS,
    "prompts go to OpenAI, whatever the settings say",
    "Set VLLM_BASE_URL to your server.",
)
OPTIONAL = Rule(
    "optional-address",
    "An address that may be None",
    Severity.BREAKS,
    "where the variable is not set, the openai package sends prompts to api.openai.com",
    "Set the variable, or VLLM_BASE_URL; vllm_connect never goes to api.openai.com by itself.",
)
KEY = Rule(
    "openai-key",
    "OpenAI's key given to a client",
    Severity.BREAKS,
    "a key that is given by argument goes to whatever server the client is for: the vLLM server would get OpenAI's",
    "Set VLLM_API_KEY where your server asks for a key.",
)
IMPORT_TIME = Rule(
    "import-time-client",
    "A client that is made when a module is imported",
    Severity.COSMETIC,
    "settings are read when the module is imported, before a program can load or change them",
    "Make it in a function, where that matters.",
)
STAR = Rule(
    "star-import",
    "Everything imported from openai",
    Severity.CHANGES_OUTPUT,
    "which names come from openai is not to be seen, so nothing that uses them is rewritten",
    "Import the names that are used.",
)

OURS = "vllm_connect"
COPIES = re.compile(r"\(\)\.(?:copy|with_options)$")
# What tests put something in the place of, by its name.
PATCHED = re.compile(
    r"(?:\w+\.)*openai\.(?:(?:_client|lib\.azure)\.)?(?:Async)?(?:Azure)?(?:OpenAI|Client)(?:\.\w+)*"
    r"|openai\.(?:chat|completions|embeddings|responses)\.[\w.]+"
    r"|(?:\w+\.)+(?:Async)?AzureOpenAI(?:\.\w+)*"
)
PATCHING = frozenset({"patch", "setattr", "spy"})
PATCHING_OBJECTS = frozenset({"object", "setattr", "spy"})
# Comments that tools read, and that hold for each part of an import.
FOR_TOOLS = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:|pylint:|isort:|mypy:)")
MODULES = frozenset({"openai", "openai._client", "openai.lib.azure"})
MOVED = {name.removeprefix("openai."): ours for name, ours in CLIENTS.items() if name.startswith("openai.")}
MOVED |= {"Client": "OpenAI", "AsyncClient": "AsyncOpenAI"}
AZURE_NAMES = frozenset(name.removeprefix("openai.") for name in AZURE)
OPENAI_KEY_NAME = re.compile(r"(?:azure|openai|oai).*(?:key|token)|(?:^|_)oai_key", re.IGNORECASE)
# Arguments that go, and what is said.
DROPPED: Mapping[str, str] = {
    "organization": "organizations of the OpenAI platform mean nothing to vLLM",
    "project": "projects of the OpenAI platform mean nothing to vLLM",
    "admin_api_key": "administration of the OpenAI platform; the drop-in refuses it",
    "workload_identity": "an identity for the OpenAI platform; the drop-in refuses it",
    "provider": "a provider of the openai package; the drop-in refuses it",
    "data_residency": "a region of the OpenAI platform; the drop-in refuses it",
}
AZURE_DROPPED: Mapping[str, tuple[str, str]] = {
    "azure_endpoint": ("the address comes from the settings", "Set VLLM_BASE_URL to your server."),
    "api_version": ("vLLM has one version of its API", ""),
    "azure_deployment": (
        "vLLM has served models in place of deployments",
        "See that calls name a served model, or set VLLM_MODEL and leave it out.",
    ),
    "azure_ad_token": ("vLLM knows no Entra ID", "Set VLLM_API_KEY where your server asks for a key."),
    "azure_ad_token_provider": (
        "vLLM knows no Entra ID",
        "Set VLLM_API_KEY; for a gateway that wants tokens give api_key= a function that returns one.",
    ),
}


Line = TypeVar("Line", cst.SimpleStatementLine, cst.SimpleStatementSuite)


class Clients(Codemod):
    """`OpenAI`, `AsyncOpenAI` and Azure's two -> those of `vllm_connect`."""

    rules = (CLIENT, AZURE_CLIENT, ARGUMENT, ADDRESS, OPTIONAL, KEY, IMPORT_TIME, STAR)
    words = ("openai", OURS)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._kept: set[str] = set()
        self._aliased = False
        self._taken_from: Mapping[cst.CSTNode, cst.Attribute] = {}
        self._asked_for: set[cst.CSTNode] = set()
        self._only_asked: set[str] = set()
        self._mains = 0
        self._is_library = False
        self._classes: list[cst.ClassDef] = []
        # Scopes that get an import of ours in this round.
        self._given_ours: set[Scope | None] = set()

    def visit_Module(self, node: cst.Module) -> None:
        look = _Look(self)
        node.visit(look)
        self._kept, self._aliased, self._is_library = look.kept, look.needs_aliases, look.is_library
        self._taken_from, self._asked_for, self._only_asked = look.taken_from, look.asked_for, look.only_asked
        for one in look.asked_for:
            if isinstance(one, cst.Name) and one.value in AZURE_NAMES - self._kept - look.only_asked:
                self.fixed(
                    one,
                    AZURE_CLIENT,
                    "this is true of every client now",
                    "Take out what tells Azure's clients from others.",
                )

    # -- names

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        is_star = isinstance(node.names, cst.ImportStar)
        if is_star and node.module is not None and not node.relative and dotted_name(node.module) in MODULES:
            self.left(node, STAR)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        """Split imports: what moves goes to a line of its own where something stays."""
        if len(original_node.body) != 1:
            return self._in_place(original_node, updated_node)
        lines = self._imported(original_node.body[0])
        if not lines:
            return updated_node
        first = updated_node.with_changes(body=[lines[0]])
        behind = updated_node.trailing_whitespace
        is_for_all = behind.comment is not None and FOR_TOOLS.match(behind.comment.value)
        end = behind if is_for_all else cst.TrailingWhitespace()
        rest = [cst.SimpleStatementLine([line], trailing_whitespace=end) for line in lines[1:]]
        return cst.FlattenSentinel([first, *rest]) if rest else first

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.SimpleStatementSuite:
        return self._in_place(original_node, updated_node)

    def _in_place(self, original_node: Line, updated_node: Line) -> Line:
        """Rewrite imports on a line with other statements: the line stays one."""
        if len(original_node.body) != len(updated_node.body):
            return updated_node
        body: list[cst.BaseSmallStatement] = []
        for was, now in zip(original_node.body, updated_node.body, strict=True):
            lines = self._imported(was) or [now]
            body += [one.with_changes(semicolon=cst.MaybeSentinel.DEFAULT) for one in lines[:-1]]
            body.append(lines[-1].with_changes(semicolon=now.semicolon))
        return updated_node.with_changes(body=body)

    def _imported(self, statement: cst.BaseSmallStatement) -> list[cst.BaseSmallStatement]:
        """Return what stands in place of an import, nothing where it stays."""
        match statement:
            case cst.ImportFrom():
                return self._from(statement)
            case cst.Import():
                return self._import(statement)
            case _:
                return []

    def _from(self, node: cst.ImportFrom) -> list[cst.BaseSmallStatement]:
        if isinstance(node.names, cst.ImportStar) or node.module is None or node.relative:
            return []
        if dotted_name(node.module) not in MODULES:
            return []
        moves = [one for one in node.names if self._moves(one)]
        if not moves:
            return []
        stays = [one for one in node.names if one not in moves]
        for one in moves:
            is_azure = one.evaluated_name in AZURE_NAMES
            self.fixed(one, AZURE_CLIENT if is_azure else CLIENT)
        new = dict.fromkeys(self._new_name(one) for one in moves)
        if node.lpar is not None and "#" in cst.Module([]).code_for_node(node):
            return self._with_comments(node, moves)
        theirs = node.with_changes(names=_separated(stays)) if stays else None
        ours = cst.ImportFrom(
            module=cst.Name(OURS),
            names=_separated([_alias(name, asname) for name, asname in new]),
            lpar=None if stays else node.lpar,
            rpar=None if stays else node.rpar,
        )
        if stays and len(stays) < 3 and node.lpar is not None and theirs is not None:  # noqa: PLR2004 - fits a line
            theirs = theirs.with_changes(lpar=None, rpar=None)
        if not stays and len(new) < 3:  # noqa: PLR2004
            ours = ours.with_changes(lpar=None, rpar=None)
        return [ours] if theirs is None else [theirs, ours]

    def _with_comments(
        self, node: cst.ImportFrom, moves: list[cst.ImportAlias]
    ) -> list[cst.BaseSmallStatement]:
        """Return both parts of an import, each name with the comment behind it."""
        assert not isinstance(node.names, cst.ImportStar)
        places = {one: at for at, one in enumerate(node.names)}
        moving = {places[one]: self._new_name(one) for one in moves}
        others = places.values() - moving.keys()
        # Azure's name may become one that is there already.
        twice = [at for at in moving if moving[at] in [moving[one] for one in moving if one < at]]
        named = [
            one.with_changes(name=alias.name, asname=alias.asname)
            for at, one in enumerate(node.names)
            for alias in [_alias(*moving[at]) if at in moving else one]
        ]
        ours = without_elements(
            node.with_changes(module=cst.Name(OURS), names=named), "names", [*others, *twice]
        )
        return [without_elements(node, "names", moving), ours] if others else [ours]

    def _moves(self, alias: cst.ImportAlias) -> bool:
        return alias.evaluated_name in MOVED and alias.evaluated_name not in self._kept | self._only_asked

    def _new_name(self, alias: cst.ImportAlias) -> tuple[str, str | None]:
        name = MOVED[alias.evaluated_name]
        asname = alias.evaluated_alias
        if asname is None and name != alias.evaluated_name and self._aliased:
            asname = alias.evaluated_name
        # `OpenAI as OpenAI` says that the name is handed on.
        return name, asname if asname != name or alias.evaluated_alias == alias.evaluated_name else None

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        """Rename what was Azure's, where its import gets the name of the drop-in."""
        name = original_node.value
        if name not in MOVED or MOVED[name] == name or name in self._kept | self._only_asked or self._aliased:
            return updated_node
        assignments = self.sheet.bindings.assignments(original_node)
        if assignments and all(_is_from_openai(one, name) for one in assignments):
            return updated_node.with_changes(value=MOVED[name])
        return updated_node

    def _import(self, node: cst.Import) -> list[cst.BaseSmallStatement]:
        for alias in node.names:
            # `import openai.types` makes the name openai too, and stays.
            is_inner = dotted_name(alias.name).startswith("openai.") and alias.asname is None
            if dotted_name(alias.name) != "openai" and not is_inner:
                continue
            name = alias.evaluated_alias or "openai"
            moves, stays = self._uses_of(node, name)
            if not moves:
                continue
            if not stays and not is_inner and not self.sheet.file.endswith("__init__.py"):
                new = cst.ImportAlias(cst.Name(OURS), comma=alias.comma)
                return [node.with_changes(names=[new if one is alias else one for one in node.names])]
            if self.sheet.bindings.scopes[alias] and not self._has_ours(alias):
                self._given_ours.add(self.sheet.bindings.scopes[alias])
                return [node, cst.Import([cst.ImportAlias(cst.Name(OURS))])]
        return []

    def _has_ours(self, alias: cst.ImportAlias) -> bool:
        scope = self.sheet.bindings.scopes[alias]
        return scope in self._given_ours or (scope is not None and OURS in scope)

    def _uses_of(self, node: cst.Import, name: str) -> tuple[int, int]:
        """Return how many uses of the module move, and how many stay."""
        scope = self.sheet.bindings.scopes[node.names[0]]
        moves = stays = 0
        for assignment in scope[name] if scope is not None else ():
            if isinstance(assignment, ImportAssignment) and assignment.node is node:
                for access in assignment.references:
                    use = self._taken_from.get(access.node)
                    is_moved = use is not None and self._is_moved(use)
                    moves, stays = moves + is_moved, stays + (not is_moved)
        return moves, stays

    def _is_moved(self, node: cst.Attribute) -> bool:
        """Whether `openai.OpenAI` and the like stands here; what is taken from it goes on."""
        is_moved = (
            node.attr.value in MOVED and node.attr.value not in self._kept and node not in self._asked_for
        )
        return is_moved and isinstance(node.value, cst.Name) and self.trails(node.value) == {"openai"}

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        name = original_node.attr.value
        if name in MOVED and self._is_moved(original_node):
            self.fixed(original_node, AZURE_CLIENT if name in AZURE_NAMES else CLIENT)
            return updated_node.with_changes(value=cst.Name(OURS), attr=cst.Name(MOVED[name]))
        return updated_node

    def visit_Call(self, node: cst.Call) -> None:
        """Report what tests put something in the place of."""
        name = dotted_name(node.func).rpartition(".")[2]
        texts = [text_of(one.value) for one in node.args[:2]]
        text = texts[0] if texts else None
        if name in PATCHING and text is not None and PATCHED.fullmatch(text):
            self._patched(node, text)
        elif (
            name in PATCHING_OBJECTS
            and len(texts) > 1
            and texts[1] in MOVED.keys() - self._kept
            and self.trails(node.args[0].value) == {"openai"}
        ):
            self._patched(node, f"openai.{texts[1]}")

    def _patched(self, node: cst.Call, name: str) -> None:
        self.left(
            node,
            CLIENT,
            f"a test puts something in the place of `{name}`: code that was rewritten makes vllm_connect's client",
            "Name vllm_connect's client there, or test against the simulator.",
        )

    # -- arguments

    def visit_If(self, node: cst.If) -> None:
        self._mains += _is_main(node)

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> cst.If:
        self._mains -= _is_main(original_node)
        return updated_node

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._classes.append(node)
        bases = {name for one in node.bases for name in self.trails(one.value) & AZURE.keys()}
        names = {one.removeprefix("openai.") for one in bases}
        if names - self._kept and not any(_is_init(one) for one in node.body.body):
            self.fixed(
                node.name,
                AZURE_CLIENT,
                f"{node.name.value} builds on vLLM's client, which takes none of Azure's arguments",
                f"Take Azure's arguments out where a {node.name.value} is made.",
            )

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        self._classes.pop()
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        makers, is_copy = made_by(original_node, self, self._classes)
        if not makers or not makers <= CLIENTS.keys():
            return updated_node
        is_azure = bool(makers & AZURE.keys())
        is_kept = bool({one.removeprefix("openai.") for one in makers & AZURE.keys()} & self._kept)
        if is_azure and (
            is_kept or takes_more(original_node) or self._is_of_inner_module(original_node.func)
        ):
            self.left(
                original_node,
                AZURE_CLIENT,
                "not rewritten: arguments are not to be seen, here or at another of its class, or the class is named by a module within openai",
                "Write the arguments out, or make it a vllm_connect.OpenAI yourself.",
            )
            return updated_node
        if not is_copy and self._is_library and not self._mains and self._runs_at_import(original_node):
            self.left(original_node, IMPORT_TIME)
        is_new = not makers & {"vllm_connect.OpenAI", "vllm_connect.AsyncOpenAI"}
        if is_new and takes_more(original_node):
            self.fixed(
                original_node,
                KEY,
                "what is handed on here is not to be seen: an address or a key among it goes to the new client",
                "See that neither OpenAI's address nor its key is in what is handed on.",
            )
        gone = self._dropped(original_node)
        changed = without(updated_node, gone)
        if keyword(original_node, "base_url") is not None:
            changed = self._address(original_node, changed, is_new=is_new)
        if keyword(original_node, "api_key") is not None:
            changed = self._key(original_node, changed, is_new=is_new, is_azure=is_azure)
        return changed

    def _is_of_inner_module(self, node: cst.BaseExpression) -> bool:
        return isinstance(node, cst.Attribute) and bool(self.trails(node.value) & (MODULES - {"openai"}))

    def _runs_at_import(self, call: cst.Call) -> bool:
        scope = self.sheet.bindings.scopes.get(call)
        while isinstance(scope, ClassScope):
            scope = scope.parent
        return isinstance(scope, GlobalScope)

    def _dropped(self, call: cst.Call) -> list[str]:
        gone = []
        for name in keyword_names(call):
            if name in AZURE_DROPPED:
                why, todo = AZURE_DROPPED[name]
                self.fixed(_given(call, name), AZURE_CLIENT, f"`{name}` is gone: {why}", todo)
            elif name in DROPPED:
                self.fixed(_given(call, name), ARGUMENT, f"`{name}` is gone: {DROPPED[name]}")
            else:
                continue
            gone.append(name)
        return gone

    def _address(self, call: cst.Call, changed: cst.Call, *, is_new: bool) -> cst.Call:
        given = _given(call, "base_url")
        values = self.values(given.value)
        if values and all(map(is_address_of_openai, values)):
            self.fixed(given, ADDRESS, "`base_url` is gone: it named OpenAI's server", ADDRESS.todo)
            return without(changed, ["base_url"])
        if isinstance(given.value, cst.BooleanOperation) and is_address_of_openai(given.value.right):
            self.fixed(given, ADDRESS, "OpenAI's server is no longer what is fallen back to", ADDRESS.todo)
            left = given.value.left
            return rewritten(changed, "base_url", lambda arg: arg.with_changes(value=left))
        read = variable(given.value, self.sheet.bindings)
        if read is not None and read.default is not None and is_address_of_openai(read.default):
            self.fixed(
                given, ADDRESS, f"OpenAI's server is no longer the default of {read.name}", ADDRESS.todo
            )
            return rewritten(changed, "base_url", _without_default)
        found = [variable(one, self.sheet.bindings) for one in values]
        if is_new:
            for one in found:
                if one is not None and not one.is_required and one.default is None:
                    self.fixed(
                        given,
                        OPTIONAL,
                        f"where {one.name} is not set, the openai package sent prompts to api.openai.com; "
                        "now the settings decide, and api.openai.com is never among them",
                        f"Set {one.name}, or VLLM_BASE_URL.",
                    )
        return changed

    def _key(self, call: cst.Call, changed: cst.Call, *, is_new: bool, is_azure: bool) -> cst.Call:
        given = _given(call, "api_key")
        has_address = "base_url" in keyword_names(changed)
        said = self._why_a_key_goes(given.value, is_new=is_new and not has_address, is_azure=is_azure)
        if said is None:
            return changed
        message, todo = said
        if message:
            self.fixed(given, KEY, message, todo)
            return without(changed, ["api_key"])
        if is_new:
            self.fixed(
                given,
                KEY,
                "this key goes to the vLLM server; where it comes from is not to be seen here",
                "See that it is not OpenAI's, or leave it out and set VLLM_API_KEY.",
            )
        return changed

    def _why_a_key_goes(
        self, value: cst.BaseExpression, *, is_new: bool, is_azure: bool
    ) -> tuple[str, str] | None:
        """Return what is said of a key that is taken out, an empty text where that is unsure, None where it stays."""
        values = self.values(value) or (value,)
        read = [variable(one, self.sheet.bindings) for one in values]
        names = [one.name for one in read if one is not None]
        texts = [text for one in values if (text := text_of(one)) is not None]
        if any(is_key_of_openai(text) for text in texts):
            return (
                "`api_key` is gone: a key of the OpenAI platform stands in the source",
                "Revoke that key: it is in the history of this file. Set VLLM_API_KEY where your server asks for a key.",
            )
        if names and any(OPENAI_KEY_NAME.search(name) for name in names):
            return f"`api_key` is gone: the vLLM server would get what is in {', '.join(names)}", KEY.todo
        if texts:
            if is_new and not all(map(is_placeholder, texts)):
                return "`api_key` is gone: the key in the source was for OpenAI", KEY.todo
            return None
        if names:
            return None
        if is_azure or OPENAI_KEY_NAME.search(dotted_name(value)):
            return "`api_key` is gone: the vLLM server would get OpenAI's key", KEY.todo
        is_none = isinstance(value, cst.Name) and value.value == "None"
        return ("", "") if is_new and not is_none else None


class _Look(cst.CSTVisitor):
    """What has to be known of a module before its names are changed."""

    def __init__(self, codemod: Codemod) -> None:
        super().__init__()
        self._codemod, self._trails = codemod, codemod.trails
        self._bindings = codemod.sheet.bindings
        file = codemod.sheet.file
        # Names of Azure's classes that stay, as a construction of theirs cannot be rewritten.
        self.kept: set[str] = set()
        # Whether a changed name would be missed: by importers, in annotations that are texts.
        exported = {f"{file}:{name}" for name in AZURE_NAMES}
        self.needs_aliases = file.endswith("__init__.py") or any(
            exported & trails
            for exports in codemod.sheet.project.modules.values()
            for trails in exports.values()
        )
        self.is_library = False
        self._classes: list[cst.ClassDef] = []
        # Classes in `isinstance(x, ...)` and in patterns: the drop-in is an openai.OpenAI, and others may be plain ones.
        self.asked_for: set[cst.CSTNode] = set()
        self.only_asked: set[str] = set()
        self._names: list[cst.Name] = []
        self._attributes: set[cst.CSTNode] = set()
        # Names, and the attribute that is taken from each.
        self.taken_from: dict[cst.CSTNode, cst.Attribute] = {}

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self.taken_from[node.value] = node
        self._attributes.add(node.attr)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.is_library = True

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.is_library = True
        self._classes.append(node)

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self._classes.pop()

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False  # its names are no uses

    def visit_MatchClass(self, node: cst.MatchClass) -> None:
        self.asked_for.add(node.cls)

    def leave_Module(self, original_node: cst.Module) -> None:
        used = {one.value for one in self._names if one not in self.asked_for}
        new = {MOVED[name] for name in used}
        self.only_asked = {one.value for one in self._names if MOVED[one.value] not in new}

    def visit_Call(self, node: cst.Call) -> None:
        match node:
            case cst.Call(func=cst.Name(value="isinstance" | "issubclass"), args=[_, asked]):
                self.asked_for.update(_alternatives(asked.value))
        if takes_more(node):
            made, _ = made_by(node, self._codemod, self._classes)
            self.kept |= {one.removeprefix("openai.") for one in made & AZURE.keys()}

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        text = text_of(node)
        if text is not None and any(name in text for name in AZURE_NAMES) and "\n" not in text:
            self.needs_aliases = True

    def visit_Name(self, node: cst.Name) -> None:
        if node.value not in (*MOVED.values(), *AZURE_NAMES) or node in self._attributes:
            return
        self._names.append(node)
        for one in self._bindings.assignments(node):
            if not _is_from_openai(one, node.value, (*MODULES, OURS)):
                self.needs_aliases = True


def _alternatives(node: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """Yield the classes of the second argument of `isinstance`."""
    match node:
        case cst.Tuple(elements=elements):
            for one in elements:
                yield from _alternatives(one.value)
        case cst.BinaryOperation(operator=cst.BitOr(), left=left, right=right):
            yield from _alternatives(left)
            yield from _alternatives(right)
        case _:
            yield node


def made_by(call: cst.Call, codemod: Codemod, classes: Sequence[cst.ClassDef]) -> tuple[Trails, bool]:
    """Return the class of what a call makes, and whether it is made of another client.

    It is the class that is called, or whose `__init__` a class of its own goes on to.
    """
    match call.func:
        case cst.Attribute(value=cst.Call(func=cst.Name(value="super")), attr=cst.Name(value="__init__")) if (
            classes
        ):
            bases = [codemod.trails(one.value) for one in classes[-1].bases]
            return next((one for one in bases if one & CLIENTS.keys()), frozenset()), False
    trails = codemod.called(call)
    makers = frozenset(COPIES.sub("", one) for one in trails)
    return makers, makers != trails


def _is_from_openai(assignment: object, name: str, modules: tuple[str, ...] = tuple(MODULES)) -> bool:
    if not isinstance(assignment, ImportAssignment) or not isinstance(assignment.node, cst.ImportFrom):
        return False
    node = assignment.node
    if node.relative or node.module is None or dotted_name(node.module) not in modules:
        return False
    return not isinstance(node.names, cst.ImportStar) and any(
        one.evaluated_name == name and one.asname is None for one in node.names
    )


def _is_init(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.FunctionDef) and node.name.value == "__init__"


def _is_main(node: cst.If) -> bool:
    match node.test:
        case cst.Comparison(left=cst.Name(value="__name__")):
            return True
        case _:
            return False


def _given(call: cst.Call, name: str) -> cst.Arg:
    found = keyword(call, name)
    assert found is not None
    return found


def _without_default(arg: cst.Arg) -> cst.Arg:
    call = cst.ensure_type(arg.value, cst.Call)
    first = call.args[0].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return arg.with_changes(value=call.with_changes(args=[first]))


def _alias(name: str, asname: str | None) -> cst.ImportAlias:
    if asname is None:
        return cst.ImportAlias(cst.Name(name))
    space = cst.SimpleWhitespace(" ")
    return cst.ImportAlias(cst.Name(name), asname=cst.AsName(cst.Name(asname), space, space))


def _separated(aliases: list[cst.ImportAlias]) -> list[cst.ImportAlias]:
    """Return names of an import with commas between them, none behind the last."""
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [
        one.with_changes(comma=comma if one is not aliases[-1] else cst.MaybeSentinel.DEFAULT)
        for one in aliases
    ]
