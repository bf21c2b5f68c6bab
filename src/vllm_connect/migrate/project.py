"""What the modules of a project hand to each other: which of their names are clients, or lead to one.

A *trail* says in one text where a value comes from: `openai.OpenAI()` is a client, and what is taken from it goes on
from there: `openai.OpenAI().chat.completions.create()`. Names of the project's own modules begin with the file:
`/app/llm.py:client`. `?` is what nothing is known of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

__all__ = ["UNKNOWN", "Exports", "Project", "Trails", "canonical", "is_open"]

Trails = frozenset[str]
# Of one module: a name, or `name()`, or `Class().attribute`, and the trails of what it is.
Exports = Mapping[str, Trails]
UNKNOWN: Trails = frozenset({"?"})
# A name that leads to itself with something behind it (`context = context.parent`) has trails without end.
MOST_TRAILS = 60
# Where the parts of a trail end: before a dot, a call, an index.
PARTS = re.compile(r"(?=\.|\(\)|\[)")
# Other names of the same things in the SDK.
SAME = (
    (re.compile(r"^openai\.(?:_client|lib\.azure)\."), "openai."),
    (re.compile(r"^openai\.Client\b"), "openai.OpenAI"),
    (re.compile(r"^openai\.AsyncClient\b"), "openai.AsyncOpenAI"),
    (re.compile(r"\.with_(?:raw|streaming)_response\b"), ""),
    (re.compile(r"(?<=\(\))\.(?:with_options|copy)\(\)"), ""),
    (re.compile(r"(?<=\(\))\.beta\.(?=chat\.)"), "."),
    (re.compile(r"\.(?:parse|__enter__|__aenter__)\(\)\.(?=parse\(\))"), "."),
)


@dataclass
class Project:
    """The Python files of a project, and what each hands on, by its absolute path."""

    modules: dict[str, Exports] = field(default_factory=dict)

    def found(self, module: str, importer: str, level: int = 0) -> str | None:
        """Return the file of a module as another one imports it, None where it is not the project's."""
        parts = [part for part in module.split(".") if part]
        here = PurePath(importer).parent
        if level:
            base = here.parents[level - 2] if level > 1 and level - 2 < len(here.parents) else here
            return self._at(base, parts)
        if not parts:
            return None
        for base in (here, *here.parents):
            if str(base / "__init__.py") in self.modules:
                continue  # a package's own modules are not found by their bare names
            for folder in (base, base / "src"):
                file = self._at(folder, parts)
                if file is not None:
                    return file
        return None

    def _at(self, base: PurePath, parts: list[str]) -> str | None:
        path = base.joinpath(*parts)
        candidates = [str(path / "__init__.py")] if not parts else [f"{path}.py", str(path / "__init__.py")]
        return next((one for one in candidates if one in self.modules), None)

    def imported(self, module: str, name: str, importer: str, level: int = 0) -> str:
        """Return the trail of a name that a module imports from another."""
        inner = self.found(f"{module}.{name}" if module else name, importer, level)
        if inner is not None:
            return f"{inner}:"
        outer = self.found(module, importer, level)
        if outer is not None:
            return f"{outer}:{name}"
        return "?" if level else f"{module}.{name}"

    def resolved(self, trail: str) -> Trails:
        """Return where a trail leads, through as many modules as it takes."""
        found: set[str] = set()
        seen = {trail.replace(":.", ":")}
        waiting = [*seen]
        while waiting:
            one = waiting.pop()
            further = self._step(one)
            if further is None:
                found.add(canonical(one))
                continue
            new = {one.replace(":.", ":") for one in further} - seen
            seen |= new
            waiting.extend(new)
            if len(seen) > MOST_TRAILS:
                return UNKNOWN
        return frozenset(found)

    def _step(self, trail: str) -> Iterable[str] | None:
        file, colon, rest = trail.rpartition(":")
        if not colon or file not in self.modules:
            return None
        parts = PARTS.split(rest)
        exports = self.modules[file]
        for end in range(len(parts), 0, -1):
            known = exports.get("".join(parts[:end]))
            if known is not None:
                beyond = "".join(parts[end:])
                return [one if one == "?" else f"{one}{beyond}" for one in known]
        if parts[1:2] == ["()"] and f"{parts[0]}().super" in exports:
            return [f"{one}{''.join(parts[2:])}" for one in exports[f"{parts[0]}().super"]]
        submodule = parts[0] and self._at(PurePath(file).parent, [parts[0]])
        if submodule and PurePath(file).name == "__init__.py":
            return [f"{submodule}:{''.join(parts[1:]).removeprefix('.')}"]
        return None


def is_open(trail: str) -> bool:
    """Whether a trail ends where nothing more is to be seen: it may lead to anything."""
    return trail == "?" or ":" in trail


def canonical(trail: str) -> str:
    """Return a trail in the one way that codemods look for."""
    for pattern, text in SAME:
        trail = pattern.sub(text, trail)
    return trail
