"""Proves which vLLM releases declare each parameter: `./dev proof releases [--shows NAME ...]`.

The sources of every release are read by their syntax, nothing of them is imported or run: the fields of the request
models, those that they inherit too, and what becomes of fields that they do not know. `facts/parameters/releases` has
to say the same. The archives come from the index that pip is set up for: 2.5 GB once, of which the cache of `./dev`
keeps 16 MB.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pip._internal.cli.cmdoptions import make_target_python
from pip._internal.commands import create_command

from vllm_connect.facts.parameters import KINDS, TABLE, UNKNOWN_FIELDS, RequestKind
from vllm_connect.facts.parameters.releases import SINCE, UNTIL

CACHE = Path(
    os.environ.get("DEV_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vllm-connect"
)
KEPT = "vllm/entrypoints/"
# Some releases have wheels alone; for which system does not matter.
SYSTEMS = ("manylinux1_x86_64", "manylinux_2_31_x86_64", "manylinux_2_35_x86_64")
# Bounds on what an archive may hold, far above what they do.
ARCHIVE_MOST = 1 << 30
UNPACKED_MOST = 4 << 30
FILE_MOST = 4 << 20
FILES_MOST = 64 << 20
PART = 1 << 20

MODELS: Mapping[RequestKind, str] = {
    "chat": "ChatCompletionRequest",
    "completions": "CompletionRequest",
    "embeddings": "EmbeddingRequest",
    "responses": "ResponsesRequest",
}
# Bases from elsewhere, which declare no field.
FIELDLESS = frozenset({"BaseModel", "Generic"})


class Unreadable(Exception):
    """A release holds something that this proof does not understand; it does not guess."""


# -- the archives


class Index:
    """The releases of vLLM in the index that pip is set up for."""

    def __init__(self, open_until: ExitStack) -> None:
        command: Any = create_command("download")
        open_until.enter_context(command.main_context())
        wheels = ["--only-binary=vllm", "--python-version=3.11", *(f"--platform={one}" for one in SYSTEMS)]
        self._links = self._found(command, wheels)
        # `pip download` itself would run the set-up of these, to ask for their dependencies.
        self._links |= self._found(command, ["--no-binary=vllm"])
        self.releases: Sequence[Any] = sorted(self._links)

    def sources(self, release: Any) -> Mapping[str, bytes]:
        """Return the Python files below `vllm/entrypoints`, by path; fetched once."""
        kept = CACHE / "releases" / f"vllm-{release}.zip"
        if not kept.exists():
            print(f"fetching vLLM {release}", flush=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=kept.parent) as archive:
                self._fetch(self._links[release], archive)
                _keep(dict(_python_files(archive, self._links[release].filename)), kept)
        with zipfile.ZipFile(kept) as archive_kept:
            return {name: archive_kept.read(name) for name in archive_kept.namelist()}

    def _found(self, command: Any, options: list[str]) -> dict[Any, Any]:
        chosen, _ = command.parse_args(["--no-deps", *options, "vllm"])
        self._session = command.get_default_session(chosen)
        finder = command._build_package_finder(
            chosen, self._session, target_python=make_target_python(chosen), ignore_requires_python=True
        )
        found = finder.find_all_candidates("vllm")
        return {one.version: one.link for one in found if not one.version.is_prerelease}

    def _fetch(self, link: Any, archive: IO[bytes]) -> None:
        plain = {"Accept-Encoding": "identity"}
        answer = self._session.get(link.url_without_fragment, stream=True, headers=plain)
        answer.raise_for_status()
        digest = hashlib.new(link.hash_name)
        for part in answer.iter_content(PART):
            digest.update(part)
            archive.write(part)
            if archive.tell() > ARCHIVE_MOST:
                raise Unreadable(f"{link.filename} is larger than {ARCHIVE_MOST} bytes")
        if digest.hexdigest() != link.hash:
            raise Unreadable(f"{link.filename} is not what the index says: its digest differs")
        archive.seek(0)


def _python_files(archive: IO[bytes], name: str) -> Iterator[tuple[str, bytes]]:
    """Yield what is kept of an archive; nothing is unpacked onto the disk, so its paths lead nowhere."""
    total = 0
    for path, size, read in _members(archive, name):
        if path.startswith(KEPT) and path.endswith(".py"):
            total += size
            if size > FILE_MOST or total > FILES_MOST:
                raise Unreadable(f"{name} holds more source than it should: {path}, {size} bytes")
            yield path, read()


def _members(archive: IO[bytes], name: str) -> Iterator[tuple[str, int, Any]]:
    if name.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            for one in wheel.infolist():
                yield one.filename, one.file_size, lambda one=one: wheel.read(one)
        return
    unpacked = 0
    with tarfile.open(fileobj=archive, mode="r|gz") as tar:
        for member in tar:
            unpacked += member.size
            if unpacked > UNPACKED_MOST:
                raise Unreadable(f"{name} unpacks to more than {UNPACKED_MOST} bytes")
            if member.isfile():
                path = member.name.partition("/")[2]
                yield path, member.size, lambda member=member: _content(tar, member)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _keep(files: Mapping[str, bytes], kept: Path) -> None:
    unfinished = kept.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    unfinished.replace(kept)


# -- the request models


@dataclass(frozen=True)
class Declared:
    """What one request model declares: its fields, and what becomes of others, in pydantic's words."""

    fields: frozenset[str] = frozenset()
    unknown: str = "ignore"


class Module:
    """One file of sources: what it defines at its top, and where each imported name comes from."""

    def __init__(self, path: str, source: bytes) -> None:
        self.tree = ast.parse(source)
        parts = path.removesuffix(".py").split("/")
        is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if is_package else parts)
        self._package = self.name if is_package else ".".join(parts[:-1])
        self.defines = {name: one for one in self.tree.body for name in _names_of(one)}
        self.imports = dict(self._imported())

    def _imported(self) -> Iterator[tuple[str, tuple[str, str]]]:
        for one in ast.walk(self.tree):
            if isinstance(one, ast.ImportFrom):
                home = one.module or ""
                if one.level:
                    above = self._package.split(".")
                    home = ".".join([*above[: len(above) - one.level + 1], *filter(None, [one.module])])
                for alias in one.names:
                    yield alias.asname or alias.name, (home, alias.name)


def _names_of(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [one.id for one in targets if isinstance(one, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
    return []


class Sources:
    """The request models of one release."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        modules = (Module(path, source) for path, source in files.items())
        self._modules = {one.name: one for one in modules}

    def declared(self, kind: RequestKind) -> Declared | None:
        """Return what the model of a kind of request declares, None where the release has no such model."""
        homes = [one for one in self._modules.values() if MODELS[kind] in one.defines]
        if not homes:
            return None
        if len(homes) > 1:
            raise Unreadable(f"{MODELS[kind]} is defined in {', '.join(one.name for one in homes)}")
        return self._of(homes[0], homes[0].defines[MODELS[kind]])

    def _of(self, home: Module, node: ast.stmt) -> Declared:
        if isinstance(node, ast.ClassDef):
            bases = [self._base(home, base) for base in node.bases]
            inherited = frozenset().union(*(one.fields for one in bases))
            unknown = next((one.unknown for one in bases if one.unknown != "ignore"), "ignore")
            return Declared(inherited | {*_fields(node)}, _policy(node) or unknown)
        # One of several models: what any of them declares is taken.
        named = (self._found(home, one.id) for one in ast.walk(node) if isinstance(one, ast.Name))
        models = [self._of(*one) for one in named if one is not None and one[1] is not node]
        if not models or len({one.unknown for one in models}) > 1:
            raise Unreadable(f"{home.name}, line {node.lineno}: no models, or models that differ")
        return Declared(frozenset().union(*(one.fields for one in models)), models[0].unknown)

    def _base(self, home: Module, base: ast.expr) -> Declared:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        found = self._found(home, name)
        if found is not None:
            return self._of(*found)
        if name not in FIELDLESS:
            raise Unreadable(f"{home.name}: no source of the base {name}")
        return Declared()

    def _found(self, home: Module | None, name: str) -> tuple[Module, ast.stmt] | None:
        """Return where a name is defined, along imports; None where that is outside of what was kept, or no model."""
        seen = set()
        while home is not None and (home, name) not in seen:
            seen.add((home, name))
            if name in home.defines:
                return home, home.defines[name]
            from_where, name = home.imports.get(name, ("", name))
            home = self._modules.get(from_where)
        return None


def _fields(model: ast.ClassDef) -> Iterator[str]:
    for one in model.body:
        match one:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                if name.startswith("_") or "ClassVar" in ast.unparse(annotation):
                    continue
                if isinstance(value, ast.Call) and {"alias", "validation_alias"} & {
                    keyword.arg for keyword in value.keywords
                }:
                    raise Unreadable(f"{model.name}.{name} goes by another name")
                yield name


def _policy(model: ast.ClassDef) -> str | None:
    """Return the `extra` of a model's configuration, None where it has none of its own."""
    for one in model.body:
        match one:
            case ast.Assign(targets=[ast.Name(id="model_config")], value=ast.Call(keywords=keywords)):
                return next((ast.literal_eval(one.value) for one in keywords if one.arg == "extra"), None)
            case ast.Assign(targets=[ast.Name(id="model_config")]):
                raise Unreadable(f"{model.name} is configured in a way that is not understood")
    return None


# -- the history


Release = Mapping[RequestKind, Declared]


def runs(history: Mapping[str, Release], kind: RequestKind, name: str) -> list[tuple[str, str]]:
    """Return the unbroken runs of releases that declare a name, as first and last; an empty last: it is still there."""
    found: list[tuple[str, str]] = []
    since = before = ""
    for release, models in history.items():
        has = kind in models and name in models[kind].fields
        if has and not since:
            since = release
        elif since and not has:
            found.append((since, before))
            since = ""
        before = release
    return [*found, (since, "")] if since else found


def names(history: Mapping[str, Release], kind: RequestKind) -> set[str]:
    """Return all names that any release declares."""
    return {name for models in history.values() if kind in models for name in models[kind].fields}


def differences(history: Mapping[str, Release]) -> Iterator[str]:
    """Yield in what the tables differ from the sources."""
    for kind in KINDS:
        for name in sorted(names(history, kind) | TABLE[kind].keys()):
            told = TABLE[kind].get(name)
            (*_, seen) = [("", ""), *runs(history, kind, name)]
            if told is None:
                yield f"{kind} `{name}`: the table has no row; the sources: {_said(*seen)}"
            elif (told.first, told.last) != seen:
                yield f"{kind} `{name}`: the table: {_said(told.first, told.last)}; the sources: {_said(*seen)}"
        for table, label in ((SINCE, "SINCE"), (UNTIL, "UNTIL")):
            listed = {name for brought in table.get(kind, {}).values() for name in brought.split()}
            for name in sorted(listed - TABLE[kind].keys()):
                yield f"{kind} `{name}`: in {label}, and has no row"
        policies = _policies(history, kind)
        if policies != UNKNOWN_FIELDS[kind]:
            yield f"{kind}, unknown fields: the table: {UNKNOWN_FIELDS[kind]}; the sources: {policies}"


def _policies(history: Mapping[str, Release], kind: RequestKind) -> dict[str, str]:
    """Return what becomes of fields that are not known, by the release that began with it."""
    found: dict[str, str] = {}
    for release, models in history.items():
        if kind in models and [*found.values()][-1:] != [models[kind].unknown]:
            found[release] = models[kind].unknown
    return found


def _said(first: str, last: str) -> str:
    if not first:
        return "in no release"
    return f"{first} to {last}" if last else f"since {first}"


# -- the command


def read(index: Index) -> dict[str, Release]:
    """Read all releases, oldest first."""
    history: dict[str, Release] = {}
    for release in index.releases:
        try:
            sources = Sources(index.sources(release))
            models = {kind: sources.declared(kind) for kind in KINDS}
        except (Unreadable, SyntaxError) as error:
            raise Unreadable(f"vLLM {release}: {error}") from error
        history[str(release)] = {kind: one for kind, one in models.items() if one is not None}
    return history


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shows", nargs="+", metavar="NAME", help="print the releases of these parameters")
    chosen = parser.parse_args()
    with ExitStack() as open_until:
        index = Index(open_until)
        if not index.releases:
            print("the index that pip is set up for has no vLLM, or does not answer", file=sys.stderr)
            return 1
        try:
            history = read(index)
        except Unreadable as error:
            print(error, file=sys.stderr)
            return 1
    for name in chosen.shows or ():
        for kind in KINDS:
            said = ", ".join(_said(*one) for one in runs(history, kind, name)) or "in no release"
            print(f"{kind} `{name}`: {said}")
    found = list(differences(history))
    for one in found:
        print(one)
    read_ones = f"{len(history)} releases, {next(iter(history))} to {next(reversed(history))}"
    total = sum(len(names(history, kind)) for kind in KINDS)
    print(f"{read_ones}; {total} parameters of {len(KINDS)} kinds of request; {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
