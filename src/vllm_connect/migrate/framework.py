"""The base of codemods for frameworks that bring the openai package along: whom their requests go to, written out.

One decision for all of them: the code names address and key (`os.environ["VLLM_BASE_URL"]`, which fails where it is not
set, and `os.environ.get("VLLM_API_KEY") or "EMPTY"`). A framework that is told less asks OPENAI_BASE_URL, which leads to
api.openai.com where nothing is set, and takes OPENAI_API_KEY. Where a framework takes a client, it gets the drop-in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import libcst as cst
from libcst.metadata import ImportAssignment

from vllm_connect.migrate.arguments import added, keyword, keyword_names, rewritten, takes_more, without
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of
from vllm_connect.migrate.variables import is_address_of_openai, is_key_of_openai, is_placeholder, variable

__all__ = [
    "ADDRESS",
    "KEY",
    "OPENAI_MODEL",
    "TODO",
    "UNSEEN",
    "UNSERVED",
    "Connection",
    "Framework",
    "copied",
    "is_name",
    "positional",
]

ADDRESS_TEXT, KEY_TEXT = 'os.environ["VLLM_BASE_URL"]', 'os.environ.get("VLLM_API_KEY") or "EMPTY"'
ADDRESS, KEY = cst.parse_expression(ADDRESS_TEXT), cst.parse_expression(KEY_TEXT)
TODO = "Set VLLM_BASE_URL to your server, whole: http://HOST:8000/v1."
# A model's name that stays OpenAI's.
UNSERVED = Rule(
    "framework-model",
    "A model of OpenAI's by a framework's name for it",
    Severity.BREAKS,
    "the vLLM server answers 404 for a model that it does not serve",
    "Name a served model: vllm-connect migrate --model-map OLD=NEW, or by hand.",
)
UNSEEN = "its arguments are not to be seen here, so it was not rewritten"
# Names of models that OpenAI serves itself.
OPENAI_MODEL = re.compile(
    r"(?:ft:)?(?:gpt-(?!oss)|chatgpt-|o[1-9](?:$|-)|text-embedding-|text-davinci|davinci|babbage|codex-)"
)
# Variables that hold what belongs to OpenAI's platform, by their names.
OPENAI_VARIABLE = re.compile(r"openai|azure|(?:^|_)oai(?:_|$)", re.IGNORECASE)
VLLM_VARIABLE = re.compile(r"vllm", re.IGNORECASE)
# A text that may be an annotation.
ANNOTATION = re.compile(r"[\w.\[\], |]+")


@dataclass(frozen=True)
class Connection:
    """Which arguments say whom a class talks to; the first of several is the one that is written.

    `gone` are those of the platform that are left out. `key` is what is written for a key, `key_todo` what has to be done
    for it. An address of Azure's is never kept.
    """

    address: tuple[str, ...]
    keys: tuple[str, ...] = ("api_key",)
    gone: frozenset[str] = field(default_factory=frozenset)
    key: cst.BaseExpression = KEY
    key_todo: str = ""
    is_azure: bool = False


class Framework(Codemod):
    """Rewrites how a framework's classes and functions are told their server, and the names they are imported by.

    `moves` has for a name of the framework the module and the name that it becomes, `classes` are those whose making is
    rewritten; a subclass rewrites what is called. Its first rule is told of what other classes build on.
    """

    moves: ClassVar[Mapping[str, tuple[str, str]]] = {}
    classes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._texts: dict[cst.CSTNode, str] = {}
        # Names of `moves` that stay, as something of theirs cannot be rewritten.
        self.kept: set[str] = set()
        self._names_of_models: set[cst.BaseExpression] = set()
        self._exported = self._names_of_others()

    # -- before anything is changed

    def visit_Module(self, node: cst.Module) -> None:
        look = _Look()
        node.visit(look)
        self._annotations = look.texts
        self._names_of_models = {name for call in look.calls for name in self.models(call)}
        for definition in look.classes:
            self._built_on(definition)
        for call in look.calls:
            self._taken_from_module(call.func)
            self.look(call)

    def _built_on(self, definition: cst.ClassDef) -> None:
        """Leave a class that another one of this module builds on: what its makers are told is not to be seen."""
        for base in definition.bases:
            found = self.trails(base.value) & (self.classes | self.moves.keys())
            if found:
                self.kept |= {one.rpartition(".")[2] for one in found}
                self.left(
                    definition,
                    self.rules[0],
                    f"`{definition.name.value}` builds on it, and was not rewritten",
                )

    def _taken_from_module(self, function: cst.BaseExpression) -> None:
        """Leave what is taken from a module (`module.Class()`) where the new name is in another one."""
        for trail in self.trails(function) & self.moves.keys() if isinstance(function, cst.Attribute) else ():
            module, _, name = trail.rpartition(".")
            if self.moves[trail][0] != module:
                self.kept.add(name)

    def models(self, call: cst.Call) -> Sequence[cst.BaseExpression]:
        """Return the arguments of a call that name a model in the framework's own form."""
        return ()

    def look(self, call: cst.Call) -> None:
        """See a call before anything is changed: for what stands elsewhere, and for names that have to stay."""

    # -- address and key

    def directed(
        self,
        call: cst.Call,
        changed: cst.Call,
        rule: Rule,
        way: Connection,
        extras: Mapping[str, str] | None = None,
    ) -> cst.Call | None:
        """Return a call that goes to the vLLM server, reported; None where it is left, which is reported too.

        `extras` are arguments to write where they are missing and the call went to OpenAI, as source.
        """
        if not self.can_be_directed(call, way):
            self.left(
                call,
                rule,
                UNSEEN,
                f"Write out {way.address[0]} and {way.keys[0]}: {ADDRESS_TEXT}, {KEY_TEXT}.",
            )
            return None
        was = changed
        address = self._address(call, way)
        if address is not None:
            changed = _with(changed, way.address, address)
        key = self._key(call, way, is_openai=address is not None and self._is_of_openai(call, way))
        if key is not None:
            changed = _with(changed, way.keys, key)
        changed = without(changed, [name for name in keyword_names(call) if name in way.gone])
        if address is not None:
            for name, source in (extras or {}).items():
                if keyword(changed, name) is None:
                    changed = added(changed, name, cst.parse_expression(source))
        self._doubted(call, rule, way)
        if changed is was:
            return changed
        if _needs_os(address, key):
            self.add_import("os")
        self.fixed(
            call,
            rule,
            _told(way, address, key),
            " ".join(filter(None, (TODO if address else "", way.key_todo if key else ""))),
        )
        return changed

    def _doubted(self, call: cst.Call, rule: Rule, way: Connection) -> None:
        """Report what is given from elsewhere: it may be None, or OpenAI's."""
        unseen = [
            name
            for name in (*way.address, *way.keys)
            if (given := keyword(call, name)) is not None and self._is_from_elsewhere(given.value)
        ]
        if unseen and not way.is_azure:
            self.left(
                call,
                rule,
                f"where {' and '.join(unseen)} come from is not to be seen: None would lead to OpenAI, or take its key",
                "See that what is given is your server's.",
                severity=Severity.COSMETIC,
            )

    def _is_from_elsewhere(self, value: cst.BaseExpression) -> bool:
        if isinstance(value, cst.BooleanOperation):
            return self._is_from_elsewhere(value.left) and variable(value.left, self.sheet.bindings) is None
        values = self.values(value)
        return not values or any(
            isinstance(one, cst.Name | cst.Attribute | cst.Subscript)
            and not is_name(one, "None")
            and variable(one, self.sheet.bindings) is None
            for one in values
        )

    def can_be_directed(self, call: cst.Call, way: Connection) -> bool:
        """Whether all is seen that has to be, and `os` is free."""
        names = set(keyword_names(call))
        is_told = bool(names & set(way.address)) and bool(names & set(way.keys)) and not way.is_azure
        return (is_told or not takes_more(call)) and self.is_free(call, "os", "os")

    def goes_elsewhere(self, call: cst.Call, way: Connection) -> bool:
        """Whether a call names a server that is not OpenAI's."""
        return _given(call, way.address) is not None and not self._is_of_openai(call, way)

    def _is_of_openai(self, call: cst.Call, way: Connection) -> bool:
        """Whether what is given as address is OpenAI's, or what may be None, or nothing."""
        given = _given(call, way.address)
        return given is None or self._new_address(given.value, way) == "openai"

    def _address(self, call: cst.Call, way: Connection) -> cst.BaseExpression | None:
        """Return the address to write, None where what is there stays."""
        given = _given(call, way.address)
        if given is None:
            return ADDRESS
        new = self._new_address(given.value, way)
        return None if new is None else ADDRESS if isinstance(new, str) else new

    def _new_address(self, value: cst.BaseExpression, way: Connection) -> cst.BaseExpression | str | None:
        if way.is_azure or is_name(value, "None"):
            return "openai"
        values = self.values(value)
        if values and all(is_address_of_openai(one) or is_name(one, "None") for one in values):
            return "openai"
        if isinstance(value, cst.BooleanOperation) and is_address_of_openai(value.right):
            return self._new_address(value.left, way) or value.left
        read = variable(value, self.sheet.bindings)
        if read is None:
            reads = [one for each in values if (one := variable(each, self.sheet.bindings)) is not None]
            if reads and all(OPENAI_VARIABLE.search(one.name) for one in reads):
                return "openai"
            return self._or_else(value, ADDRESS)
        if OPENAI_VARIABLE.search(read.name):
            return "openai" if read.default is None or is_address_of_openai(read.default) else None
        if read.is_required or (read.default is not None and not is_address_of_openai(read.default)):
            return None
        return cst.parse_expression(f'os.environ["{read.name}"]')

    def _key(self, call: cst.Call, way: Connection, *, is_openai: bool) -> cst.BaseExpression | None:
        """Return the key to write, None where what is there stays."""
        given = _given(call, way.keys)
        if given is None or is_name(given.value, "None"):
            return way.key
        parts = _Parts()
        for one in self.values(given.value) or (given.value,):
            one.visit(parts)
        reads = [read for one in parts.all if (read := variable(one, self.sheet.bindings)) is not None]
        texts = [text for one in parts.all if (text := text_of(one)) is not None]
        names = [read.name for read in reads]
        if any(OPENAI_VARIABLE.search(name) for name in [*names, *texts, dotted_name(given.value)]):
            return way.key
        if any(is_key_of_openai(text) for text in texts):
            return way.key
        if is_emptied(given.value):
            return way.key  # frameworks take an empty key for none, and OPENAI_API_KEY then
        is_ours = bool(names) and all(VLLM_VARIABLE.search(name) for name in names)
        if is_openai and not is_ours:
            return None if texts and all(map(is_placeholder, texts)) else way.key
        return self._or_else(given.value, way.key)

    def _or_else(self, value: cst.BaseExpression, other: cst.BaseExpression) -> cst.BaseExpression | None:
        """Return what stands for a value that may be None, by which a framework takes OpenAI's; None where it may not."""
        if variable(value, self.sheet.bindings) is not None and self._may_be_none(value):
            return cst.parse_expression(f'{_code(value)} or "EMPTY"')
        return cst.parse_expression(f"{_code(value)} or {_code(other)}") if self._may_be_none(value) else None

    def _may_be_none(self, value: cst.BaseExpression) -> bool:
        """Whether a value is seen to be None at times: by a variable that need not be set, or by a default."""
        reads = [variable(one, self.sheet.bindings) for one in self.values(value)]
        if any(is_name(one, "None") for one in self.values(value)):
            return True
        if any(one is not None and not one.is_required and one.default is None for one in reads):
            return True
        return isinstance(value, cst.Name) and any(
            isinstance(parameter := getattr(one, "node", None), cst.Param)
            and is_name(parameter.default or parameter, "None")
            for one in self.sheet.bindings.assignments(value)
        )

    def is_free(self, node: cst.CSTNode, name: str, *trails: str) -> bool:
        """Whether a name may be imported: it stands for that already, or for nothing yet."""
        return self.sheet.bindings.standing(node, name) <= {*trails}

    # -- models

    def served(self, name: str) -> str:
        """Return the served name for a model's, itself where the map has none."""
        return self.options.models.get(name, name)

    def named_by_place(self, call: cst.Call, place: int = 0) -> None:
        """Have a plain name of a model changed that is given by its place, where no keyword says that it is one."""
        at = call.args[place] if len(call.args) > place else None
        if at is not None and at.keyword is None and not at.star and isinstance(at.value, cst.SimpleString):
            self.renamed_model(at.value, self.options.models.get)

    def renamed_model(self, node: cst.BaseExpression, change: Callable[[str], str | None]) -> bool:
        """Have a model's name changed where it is written; False where it is not to be seen, or is used elsewhere too.

        `change` returns the new name, None for one that is not OpenAI's.
        """
        if isinstance(node, cst.Name):
            assignments = self.sheet.bindings.assignments(node)
            uses = [access.node for one in assignments for access in one.references]
            if not self._names_of_models.issuperset(uses):
                return False
        values = self.values(node)
        plans: dict[cst.CSTNode, str] = {}
        for value in values:
            part, text = _start(value)
            new = None if part is None else change(text)
            if part is None:
                return False
            if new is not None:
                plans[part] = new
        self._texts |= plans
        return bool(values)

    def names_served_model(self, node: cst.BaseExpression, *prefixes: str) -> None:
        """Report a model of OpenAI's that is named behind one of these prefixes; a plain name is another rule's."""
        for value in self.values(node):
            _, text = _start(value)
            for prefix in prefixes:
                name = text.removeprefix(prefix)
                is_mapped = name in self.options.models or name in self.options.models.values()
                if text.startswith(prefix) and OPENAI_MODEL.match(name) and not is_mapped:
                    self.left(value, UNSERVED, f"`{name}` is a model of OpenAI's: {UNSERVED.why}")

    def names_a_model(self, call: cst.Call, *names: str) -> None:
        """Report a call that names no model by any of these names, or by its place."""
        by_place = any(one.keyword is None for one in call.args)
        if not by_place and not {*names} & {*keyword_names(call)}:
            self.left(
                call,
                UNSERVED,
                f"it names no model, and the framework's own is OpenAI's: {UNSERVED.why}",
                "Name one.",
            )

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.BaseExpression:
        new = self._texts.get(original_node)
        return updated_node if new is None else _quoted(new, original_node)

    def leave_FormattedStringText(
        self, original_node: cst.FormattedStringText, updated_node: cst.FormattedStringText
    ) -> cst.FormattedStringText:
        new = self._texts.get(original_node)
        return updated_node if new is None else updated_node.with_changes(value=new)

    # -- names

    def _names_of_others(self) -> set[str]:
        """Return the names of this module that others of the project import."""
        start = f"{self.sheet.file}:"
        return {
            trail.removeprefix(start)
            for file, exports in self.sheet.project.modules.items()
            if file != self.sheet.file
            for trails in exports.values()
            for trail in trails
            if trail.startswith(start)
        }

    def _keeps_name(self, name: str) -> bool:
        """Whether a name would be missed: by importers, or in annotations that are texts."""
        is_package = self.sheet.file.endswith("__init__.py")
        return is_package or name in self._exported or any(name in text for text in self._annotations)

    def _is_taken(self, node: cst.CSTNode, name: str, module: str) -> bool:
        """Whether a name stands for something else already."""
        scope = self.sheet.bindings.scopes.get(node)
        return any(
            not isinstance(one, ImportAssignment)
            or not isinstance(one.node, cst.ImportFrom)
            or one.node.module is None
            or dotted_name(one.node.module) != module
            for one in (scope[name] if scope is not None else ())
        )

    def _moved(self, node: cst.ImportFrom, alias: cst.ImportAlias) -> tuple[str, cst.ImportAlias] | None:
        """Return where an imported name comes from then, and as what, None where it stays."""
        module = "" if node.module is None or node.relative else dotted_name(node.module)
        move = self.moves.get(f"{module}.{alias.evaluated_name}")
        if move is None or alias.evaluated_name in self.kept:
            return None
        to, name = move
        local = alias.evaluated_alias
        old = alias.evaluated_name
        if local is None and name != old and (self._keeps_name(old) or self._is_taken(alias, name, to)):
            local = old
        space = cst.SimpleWhitespace(" ")
        asname = None if local is None or local == name else cst.AsName(cst.Name(local), space, space)
        return to, cst.ImportAlias(cst.Name(name), asname=asname)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        """Move imports, each to the module that has the new name."""
        node = original_node.body[0] if len(original_node.body) == 1 else None
        if not self.moves or not isinstance(node, cst.ImportFrom) or isinstance(node.names, cst.ImportStar):
            return updated_node
        moves = {alias: move for alias in node.names if (move := self._moved(node, alias)) is not None}
        if not moves:
            return updated_node
        module = "" if node.module is None else dotted_name(node.module)
        by_module: dict[str, dict[str, cst.ImportAlias]] = {module: {}}
        for alias in node.names:
            to, new = moves.get(alias, (module, alias))
            by_module.setdefault(to, {})[_code(new.with_changes(comma=cst.MaybeSentinel.DEFAULT))] = new
        lines = [
            node.with_changes(
                module=cst.parse_expression(to),
                names=_separated([*names.values()]),
                **_parentheses(node, names),
            )
            for to, names in by_module.items()
            if names
        ]
        first = updated_node.with_changes(body=[lines[0]])
        rest = [cst.SimpleStatementLine([line]) for line in lines[1:]]
        return cst.FlattenSentinel([first, *rest]) if rest else first

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        """Rename what is imported by another name then."""
        for one in self.sheet.bindings.assignments(original_node) if self._may_move(original_node) else ():
            new = self._new_local(one)
            if new is not None and new != original_node.value:
                return updated_node.with_changes(value=new)
        return updated_node

    def _may_move(self, node: cst.Name) -> bool:
        return any(old.rpartition(".")[2] == node.value for old in self.moves)

    def _new_local(self, assignment: object) -> str | None:
        if not isinstance(assignment, ImportAssignment) or not isinstance(assignment.node, cst.ImportFrom):
            return None
        if isinstance(assignment.node.names, cst.ImportStar):
            return None
        for alias in assignment.node.names:
            if (alias.evaluated_alias or alias.evaluated_name) == assignment.name:
                moved = self._moved(assignment.node, alias)
                return None if moved is None else moved[1].evaluated_alias or moved[1].evaluated_name
        return None

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        """Rename what is taken from a module, where the new name is in the same one."""
        name = original_node.attr.value
        if not self.moves or not any(old.endswith(f".{name}") for old in self.moves) or name in self.kept:
            return updated_node
        trails = self.trails(original_node)
        moves = {self.moves[one] for one in trails if one in self.moves}
        if len(moves) != 1 or len(trails) != 1:
            return updated_node
        module, new = next(iter(moves))
        if next(iter(trails)).rpartition(".")[0] != module:
            return updated_node
        return updated_node.with_changes(attr=cst.Name(new))


class _Look(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[cst.Call] = []
        self.classes: list[cst.ClassDef] = []
        self.texts: set[str] = set()

    def visit_Call(self, node: cst.Call) -> None:
        self.calls.append(node)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.classes.append(node)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        text = text_of(node)
        if text is not None and ANNOTATION.fullmatch(text):
            self.texts.add(text)


class _Parts(cst.CSTVisitor):
    """All expressions that another one consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[cst.BaseExpression] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.BaseExpression):
            self.all.append(node)
        return True


def positional(call: cst.Call, place: int, name: str) -> cst.BaseExpression | None:
    """Return an argument that may be given by its place or by its name, None where it is not given."""
    found = keyword(call, name)
    if found is not None:
        return found.value
    before = call.args[: place + 1]
    if len(before) > place and all(one.keyword is None and not one.star for one in before):
        return before[place].value
    return None


def is_name(node: cst.CSTNode, name: str) -> bool:
    """Whether a name stands here, such as `None`."""
    return isinstance(node, cst.Name) and node.value == name


def copied(node: cst.BaseExpression) -> cst.BaseExpression:
    """Return an expression that may stand in a tree beside the one that it was made from."""
    return node.deep_clone()


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def is_emptied(node: cst.CSTNode) -> bool:
    """Whether an empty text stands here."""
    return text_of(node) == ""


def _given(call: cst.Call, names: tuple[str, ...]) -> cst.Arg | None:
    return next((one for name in names if (one := keyword(call, name)) is not None), None)


def _with(call: cst.Call, names: tuple[str, ...], value: cst.BaseExpression) -> cst.Call:
    """Return a call with an argument given by one of its names, by the first where it was not given."""
    value = copied(value)
    present = [name for name in names if keyword(call, name) is not None]
    if not present:
        return added(call, names[0], value)
    changed = rewritten(call, present[0], lambda arg: arg.with_changes(value=value))
    return without(changed, present[1:])


def _needs_os(*values: cst.BaseExpression | None) -> bool:
    return any("os.environ" in _code(one) for one in values if one is not None)


def _told(way: Connection, address: cst.BaseExpression | None, key: cst.BaseExpression | None) -> str:
    """Return what was done, without quoting what was there."""
    said = []
    if address is not None:
        said.append(f"{way.address[0]} is {_code(address)} now")
    if key is not None:
        said.append(f"{way.keys[0]} is no longer OpenAI's")
    return " and ".join(said) or "what means nothing to vLLM is gone"


def _start(value: cst.BaseExpression) -> tuple[cst.CSTNode | None, str]:
    """Return the literal that a text begins with, and its text; None where it begins with something else."""
    match value:
        case cst.SimpleString():
            return value, text_of(value) or ""
        case cst.FormattedString(parts=[cst.FormattedStringText() as first, *_]):
            return first, first.value
        case _:
            return None, ""


def _quoted(text: str, like: cst.SimpleString) -> cst.SimpleString:
    return cst.SimpleString(f"{like.prefix}{like.quote}{text}{like.quote}", lpar=like.lpar, rpar=like.rpar)


def _separated(aliases: list[cst.ImportAlias]) -> list[cst.ImportAlias]:
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [
        one.with_changes(comma=comma if one is not aliases[-1] else cst.MaybeSentinel.DEFAULT)
        for one in aliases
    ]


def _parentheses(node: cst.ImportFrom, names: Mapping[str, object]) -> dict[str, object]:
    """Return none for a line that is short, those that were there else."""
    return {"lpar": None, "rpar": None} if len(names) < 3 else {"lpar": node.lpar, "rpar": node.rpar}  # noqa: PLR2004
