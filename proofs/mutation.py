"""Changes `outcome` and `replicas` in small ways, one at a time, to see whether their tests notice: `./dev proof mutation`.

`--only NAME` takes the files whose path has this in it; `--mutant N` shows one change and what the tests say of it.

Each mutant is one changed place: a comparison, a sign, a number, a word of a table, a negation, a statement left out.
Every one runs the tests of its layer in a process of its own, forked from one that has imported all the rest. Tools of
this kind change the bodies of functions; much of these layers is tables and constants, which are changed here too.
A mutant that no test notices is printed; those in `LOOKED_AT` were looked at and say nothing of the tests.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "vllm_connect"
TESTS = {
    "outcome": ("tests/test_outcome.py",),
    "replicas": ("tests/test_replica_parts.py", "tests/test_replicas.py", "tests/test_prefix_key.py"),
}
# Tests in processes of their own see no mutant.
LEFT_OUT = ("test_homes_are_the_same_in_every_process",)
LOWEST_SCORE = 0.85
# Seconds after which a mutant that never ends counts as noticed.
LONGEST = 60

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATIONS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.Pow: ast.Mult,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
# The words of the tables of outcomes, each with another of its kind.
WORDS = {
    "Outcome": ("NOT_SENT", "REFUSED", "UNKNOWN", "PARTIAL", "INVALID", "DONE"),
    "Again": ("NEVER", "ELSEWHERE", "CHARGED", "FREE_ELSEWHERE", "FREE"),
    "Blame": ("NOTHING", "WELL", "UNREACHABLE", "CRASH", "OVERLOAD", "SILENT", "WRONG", "MISPLACED"),
}
# What is not behaviour: what is written for readers, for type checkers and for imports.
NOT_BEHAVIOUR = ("__all__", "__slots__")

LOOKED_AT = {
    "outcome/completeness.py: 0 -> 1": "an n of 1 is what is taken for none",
    "outcome/judgement.py: False -> True": "a default that every case gives or means",
    "replicas/affinity.py: left <= 0 -> left < 0": "one character more or less",
    "replicas/affinity.py: 0 -> 1": "one character more or less",
    "replicas/affinity.py: 1 -> 2": "a bound on work, not on what counts",
    "replicas/affinity.py: return [] -> return None": "both are no beginning",
    "replicas/affinity.py: 2048 -> 2049": "one token more or less",
    "replicas/budget.py: self._left < 1.0 - ROUNDING -> self._left <= 1.0 - ROUNDING": "never equal",
    "replicas/budget.py: self._pass_to(now) -> pass": "the next retry that asks counts the calls",
    "replicas/budget.py: now - self._now >= BETWEEN_COUNTS -> now - self._now > BETWEEN_COUNTS": "never equal",
    "replicas/budget.py: now - self._now -> now + self._now": "counts more often, as exactly",
    "replicas/budget.py: 0.0 -> 1.0": "faded before it is first used",
    "replicas/budget.py: 1e-09 -> 2e-09": "both are far below a tenth",
    "replicas/budget.py: 0.5 -> 1.0": "counts less often, as exactly",
    "replicas/budget.py: 0.1 -> 0.2": "how few calls are hardly any is a matter of taste",
    "replicas/choice.py: one.cost(now, usual_time) <= other.cost(now, usual_time) -> "
    "one.cost(now, usual_time) < other.cost(now, usual_time)": "of two that are equal, either",
    "replicas/group.py: return False -> return None": "both are no",
    "replicas/group.py: 1.0 -> 2.0": "a time for all replicas while nothing is known of any",
    "replicas/group.py: 0.05 -> 0.1": "how soon the usual is another is a matter of taste",
    "replicas/group.py: 2 -> 3": "the loop of attempts counts crashes, and its tests do",
    "replicas/health.py: return False -> return None": "both are no",
    "replicas/health.py: 0 -> 1": "at first: the first failure takes a probe out, and writes what it counts from",
    "replicas/health.py: self._first_begun = 0 -> pass": "written before it is read, at the first failure",
    "replicas/health.py: -math.inf -> math.inf": "at first: no failure to forget yet, and no rest",
    "replicas/health.py: False -> True": "at first it is back since for ever, and has its whole share",
    "replicas/hedging.py: self._left < 1.0 - ROUNDING -> self._left <= 1.0 - ROUNDING": "never equal",
    "replicas/hedging.py: 0.1 -> 0.2": "how soon what is late is another is a matter of taste",
    "replicas/hedging.py: 1e-09 -> 2e-09": "both are far below a fiftieth",
    "replicas/latency.py: self._peak = 0.0 -> pass": "written before it is read, as nothing was heard yet",
    "replicas/latency.py: 0.0 -> 1.0": "the same",
    "replicas/rendezvous.py: int.from_bytes(digest.digest(), 'big') + 0.5 -> "
    "int.from_bytes(digest.digest(), 'big') - 0.5": "one draw in 2 ** 64, which is 0",
    "replicas/rendezvous.py: 0.5 -> 1.0": "the same",
    "replicas/rendezvous.py: 1.0 -> 2.0": "one draw in 2 ** 53, which rounds to 1",
    "replicas/rendezvous.py: 8 -> 9": "other homes, spread as evenly",
    "replicas/spell.py: 16 -> 17": "a bound on doublings that lie beyond the longest",
}


@dataclass(frozen=True)
class Mutant:
    """One changed place of one file; `number` is its place among all of them."""

    number: int
    path: str
    line: int
    before: str
    after: str

    @property
    def layer(self) -> str:
        return self.path.split("/")[0]

    @property
    def name(self) -> str:
        """What names it while lines come and go."""
        return f"{self.path}: {self.before} -> {self.after}"

    def __str__(self) -> str:
        return f"{self.number:4} {self.path}:{self.line}  {self.before}  ->  {self.after}"


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST, Callable[[], None]]]:
    """Every place that can be changed: the node that shows it, what stands there then, and the change itself."""
    for node, put in places(tree):
        for other in variants(node):
            yield node, other, lambda put=put, other=other: put(other)  # type: ignore[misc]


def places(tree: ast.Module) -> Iterator[tuple[ast.AST, Callable[[ast.AST], None]]]:
    """Every node that is behaviour, and how another is put in its place."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        parent = waiting.pop()
        for name, value in ast.iter_fields(parent):
            if name in {"annotation", "returns", "decorator_list", "type_params", "ctx", "op", "ops"}:
                continue
            if isinstance(value, ast.AST):
                yield value, lambda other, parent=parent, name=name: setattr(parent, name, other)  # type: ignore[misc]
                waiting.append(value)
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.AST) and is_behaviour(item):
                        yield item, lambda other, value=value, index=index: value.__setitem__(index, other)  # type: ignore[misc]
                        waiting.append(item)


def is_behaviour(node: ast.AST) -> bool:
    """Whether a statement or item does something when the program runs."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return False
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return False
    targets = node.targets if isinstance(node, ast.Assign) else []
    return not any(isinstance(target, ast.Name) and target.id in NOT_BEHAVIOUR for target in targets)


def variants(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912  (a table: what is there, what may be instead)
    """What may stand in the place of a node."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            yield replaced(node, ops=[COMPARISONS[type(op)]()])
        case ast.BinOp(op=op) if type(op) in OPERATIONS and not is_annotation(node):
            yield replaced(node, op=OPERATIONS[type(op)]())
        case ast.BoolOp(op=op):
            yield replaced(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.AugAssign(op=op) if type(op) in OPERATIONS:
            yield replaced(node, op=OPERATIONS[type(op)]())
            yield ast.Pass()
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 if value else 1.0)
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name], ast.Load())
        case ast.Attribute(value=ast.Name(id=kind), attr=word) if word in WORDS.get(kind, ()):
            words = WORDS[kind]
            yield replaced(node, attr=words[(words.index(word) + 1) % len(words)])
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield replaced(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.Delete():
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Return(value=ast.AST() as value) if not is_none(value):
            yield ast.Return(ast.Constant(None))
        case _:
            pass


def replaced(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of a node with other fields."""
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def is_none(node: ast.AST) -> bool:
    """Whether it is None already."""
    return isinstance(node, ast.Constant) and node.value is None


def is_annotation(node: ast.BinOp) -> bool:
    """Whether it is a type (`int | float`), as in `isinstance`."""
    return isinstance(node.op, ast.BitOr)


def shown(node: ast.AST) -> str:
    """One line of a node, as short as it can be told."""
    lines = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines() or ["pass"]
    return lines[0][:90]


def mutants(only: str) -> list[Mutant]:
    """All mutants of the two layers, in the order of their files and places."""
    found: list[Mutant] = []
    for layer in TESTS:
        for file in sorted((SOURCES / layer).glob("*.py")):
            path = str(file.relative_to(SOURCES))
            if only not in path:
                continue
            for node, other, _ in changes(ast.parse(file.read_text())):
                line = getattr(node, "lineno", 0)
                found.append(Mutant(len(found), path, line, shown(node), shown(other)))
    return found


def mutated(mutant: Mutant, first: int) -> types.CodeType:
    """The file of a mutant, changed; `first` is the number of the first mutant of that file."""
    file = SOURCES / mutant.path
    tree = ast.parse(file.read_text())
    for index, (_, _, change) in enumerate(changes(tree)):
        if index == mutant.number - first:
            change()
            break
    return compile(ast.fix_missing_locations(tree), str(file), "exec")


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed source."""

    def __init__(self, path: str, code: types.CodeType) -> None:
        self._module = "vllm_connect." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self._is_package = path.endswith("__init__.py")
        self._path = str(SOURCES / path)
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._module:
            return None
        spec = importlib.util.spec_from_loader(fullname, self, origin=self._path, is_package=self._is_package)
        if spec is not None and self._is_package:
            spec.submodule_search_locations = [str(Path(self._path).parent)]
        return spec

    def exec_module(self, module: types.ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102  (our own source, changed)


class Order:
    """Has pytest run the fastest tests first, and tells how long each took; most mutants are noticed by any of them."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._before = seconds
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.name not in LEFT_OUT),
            key=lambda item: self._before.get(item.nodeid, 0.0),
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.seconds[report.nodeid] = report.duration


def run_tests(layer: str, order: Order, *, is_shown: bool = False) -> int:
    """Run the tests of a layer in this process, which is the mutant's own; returns pytest's exit code."""
    hypothesis.settings.register_profile(
        "mutation",
        max_examples=50,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        deadline=None,
    )
    hypothesis.settings.load_profile("mutation")
    # As little of pytest as these tests need: most of a mutant's time is its start.
    arguments = ["-c", os.devnull, "--rootdir", str(ROOT), "--noconftest", "--import-mode=importlib"]
    arguments += ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *TESTS[layer]]
    if is_shown:
        return int(pytest.main(arguments, [order]))
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        return int(pytest.main([*arguments, "--tb=no", "--capture=sys"], [order]))


def durations(layer: str) -> dict[str, float]:
    """How long each test of a layer takes while nothing is changed; raises RuntimeError where one fails."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        order = Order({})
        code = run_tests(layer, order)
        os.write(writing, json.dumps(order.seconds).encode())
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as told:
        seconds: dict[str, float] = json.load(told)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"the tests of {layer} fail before anything is changed")
    return seconds


def is_noticed(mutant: Mutant, first: int, order: Order) -> bool:
    """Whether the tests notice a mutant, in a child process."""
    child = os.fork()
    if not child:
        signal.alarm(LONGEST)
        try:
            sys.meta_path.insert(0, Changed(mutant.path, mutated(mutant, first)))
            os._exit(run_tests(mutant.layer, order))
        except BaseException:  # noqa: BLE001  (what cannot even be imported is noticed)
            os._exit(70)
    _, status = os.waitpid(child, 0)
    return status != 0


def import_the_rest() -> None:
    """Import what tests need and mutants do not change, once for all children."""
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("hypothesis.strategies", "openai", "vllm_connect.settings", "vllm_connect.facts"):
        importlib.import_module(name)
    changed = [
        name for name in sys.modules if name.startswith(tuple(f"vllm_connect.{layer}" for layer in TESTS))
    ]
    if changed:
        raise RuntimeError(f"{changed} are imported before they are changed")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only files whose path has this in it")
    parser.add_argument("--mutant", type=int, help="run the tests on this one, and show what they say")
    chosen = parser.parse_args()
    import_the_rest()
    everyone = mutants(chosen.only)
    first: dict[str, int] = {}
    for mutant in everyone:
        first.setdefault(mutant.path, mutant.number)
    if chosen.mutant is not None:
        mutant = everyone[chosen.mutant]
        print(mutant)
        sys.meta_path.insert(0, Changed(mutant.path, mutated(mutant, first[mutant.path])))
        return run_tests(mutant.layer, Order({}), is_shown=True)
    begun = time.monotonic()
    orders = {layer: Order(durations(layer)) for layer in sorted({mutant.layer for mutant in everyone})}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        noticed = list(
            threads.map(lambda mutant: is_noticed(mutant, first[mutant.path], orders[mutant.layer]), everyone)
        )
    survivors = [mutant for mutant, seen in zip(everyone, noticed, strict=True) if not seen]
    return tell(everyone, survivors, time.monotonic() - begun)


def tell(everyone: Sequence[Mutant], survivors: Sequence[Mutant], seconds: float) -> int:
    """Print what was found; returns 1 where the score is too low."""
    for mutant in survivors:
        print(mutant, f"({LOOKED_AT[mutant.name]})" if mutant.name in LOOKED_AT else "(not looked at)")
    for layer in TESTS:
        of_layer = [mutant for mutant in everyone if mutant.layer == layer]
        alive = [mutant for mutant in survivors if mutant.layer == layer]
        if of_layer:
            print(f"{layer}: {1 - len(alive) / len(of_layer):.1%} of {len(of_layer)} mutants were noticed")
    score = 1 - len(survivors) / len(everyone)
    print(
        f"{score:.1%} of {len(everyone)} mutants in {seconds:.0f} s; at least {LOWEST_SCORE:.0%} are asked for"
    )
    return 0 if score >= LOWEST_SCORE else 1


if __name__ == "__main__":
    sys.exit(main())
