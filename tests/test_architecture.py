"""The law of the house: which room imports which, and what a file may be.

`python tests/test_architecture.py [ROOT]` prints the rooms, their arrows, circles and what breaks the law.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"wgfode": "wgfode", "adapters": "wgfode.adapters", "validation": "wgfode.validation"}
FRAMEWORKS = {"torch", "jax", "jaxlib", "torchdiffeq", "diffrax", "equinox", "lineax", "optimistix", "optax"}
LINES, BODY = 300, 60

TOOLS = "errors arrays"
WHAT = f"{TOOLS} backend checks drive functions maps references points pushforward energies potentials"
PROBLEM = f"{WHAT} tangent solvers metrics flow"
STEPS = f"{PROBLEM} blended rhs derivative stepping"
ARROWS: dict[str, str] = {
    # tools
    "errors": "",
    "arrays": "",
    "version": "",
    "checkout": "",
    "backend": "arrays errors",
    "checks": "arrays backend errors functions",
    "functions": "",
    "kronecker": "",
    "drive": "",
    # what flows
    "maps": "arrays backend checks errors",
    "references": "arrays backend errors",
    "points": "errors references",
    "pushforward": "backend drive maps references",
    "energies": "arrays backend checks errors functions pushforward",
    "potentials": "arrays errors",
    # the problem of one moment
    "tangent": "backend kronecker maps",
    "solvers": "arrays backend errors kronecker",
    "metrics": "backend errors potentials pushforward solvers tangent",
    "flow": "backend checks energies errors maps metrics points pushforward references solvers",
    "blended": "backend energies pushforward tangent",
    "rhs": "arrays backend blended checks drive errors flow pushforward solvers tangent",
    "derivative": "drive errors rhs solvers",
    # what comes out
    "dataset": "errors flow rhs version",
    "storage": "errors dataset",
    "posterior": "errors dataset",
    # how it is stepped, watched and kept
    "stepping": f"{TOOLS} backend checks derivative drive flow points pushforward rhs solvers tangent",
    "monitor": f"{TOOLS} backend checks derivative drive flow points pushforward rhs solvers stepping tangent",
    "certificate": "backend energies errors flow monitor rhs stepping",
    "run": f"{STEPS} certificate dataset monitor storage version",
    "adapters": f"{STEPS} checks dataset monitor",
    # one call, and the ways in
    "solve": f"{STEPS} adapters certificate dataset monitor run storage",
    "problems": f"{PROBLEM} validation.exact validation.manufactured",
    "opened": f"{STEPS} monitor problems run",
    "plots": "dataset errors flow problems storage validation.compare validation.report",
    "wgfode": f"{STEPS} adapters certificate checkout dataset monitor opened posterior problems run solve storage "
    "version",
    "cli": f"{STEPS} adapters certificate dataset monitor plots problems run solve storage version validation.cases "
    "validation.compare validation.report",
    # validation stands on everything, and nothing of the core on it
    "validation": "",
    "validation.exact": f"{WHAT} flow validation.grid",
    "validation.grid": f"{WHAT} dataset flow version",
    "validation.compare": f"{WHAT} dataset flow problems rhs run storage validation.exact validation.grid",
    "validation.manufactured": f"{WHAT} flow validation.exact",
    "validation.cases": f"{STEPS} dataset problems run solve storage validation.compare validation.exact "
    "validation.grid validation.manufactured",
    "validation.report": f"{STEPS} dataset problems solve storage validation.cases validation.compare "
    "validation.convergence validation.exact validation.grid validation.manufactured",
    "validation.convergence": f"{STEPS} problems solve validation.cases validation.compare validation.exact "
    "validation.grid",
    "validation.certificate_study": f"{STEPS} adapters certificate monitor problems solve "
    "validation.compare validation.exact",
}
"""The rooms that each room may import."""
READERS = ("cli", "plots", "problems")
"""The rooms that are no part of the core: they start a validation, draw what it found, name what it is held to."""
ADDRESS = re.compile(r"wgfode(\.\w+)+(:\w*)?")


class Source(NamedTuple):
    """One file of the package."""

    module: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> list[str]:
        parts = self.module.split(".")
        return parts if self.path.name == "__init__.py" else parts[:-1]


class Import(NamedTuple):
    """An import of one module by another."""

    source: str
    target: str
    line: int


@cache
def sources(root: Path = ROOT) -> dict[str, Source]:
    """Every file of the package, by its module's name."""
    found = {}
    for folder, prefix in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = [prefix, *path.relative_to(root / folder).with_suffix("").parts]
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found[module] = Source(module, path.relative_to(root), text, ast.parse(text))
    return found


def room(module: str) -> str:
    """The room that a module is in."""
    parts = module.split(".")[1:]
    if not parts or parts[0] == "__main__":
        return "wgfode" if not parts else "cli"
    return ".".join(parts[:2]) if parts[0] == "validation" else parts[0]


def absolute(source: Source, level: int, name: str) -> str:
    """The absolute name of a (relative) import."""
    package = source.package[: len(source.package) - level + 1] if level else []
    return ".".join([*package, *([name] if name else [])])


def named(source: Source) -> Iterator[tuple[str, int]]:
    """Every module that a file names in an import, wherever it stands, or by its address in a string."""
    documentation = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(source, node.level, node.module or "")
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            if ADDRESS.fullmatch(node.value):
                yield node.value.partition(":")[0], node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            first = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(first, ast.Constant) and str(first.value).startswith("."):
                yield absolute(source, 1, str(first.value).strip(".")), node.lineno


@cache
def imports(root: Path = ROOT) -> tuple[Import, ...]:
    """Every import of a module of the package by another."""
    modules, found = sources(root), set()
    for source in modules.values():
        for name, line in named(source):
            target = name
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target and target != source.module and name.startswith("wgfode"):
                found.add(Import(source.module, target, line))
    return tuple(sorted(found))


def room_arrows(root: Path = ROOT) -> dict[tuple[str, str], list[str]]:
    """The arrows between rooms, with the places that make them."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for source, target, line in imports(root):
        if (pair := (room(source), room(target))) and pair[0] != pair[1]:
            arrows.setdefault(pair, []).append(f"{sources(root)[source].path}:{line}")
    return arrows


def circles(pairs: set[tuple[str, str]]) -> list[list[str]]:
    """The strongly connected components of more than one node."""
    graph: dict[str, set[str]] = {}
    for a, b in pairs:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set())

    def reached(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for following in graph[todo.pop()] - seen:
                seen.add(following)
                todo.append(following)
        return seen

    reach = {node: reached(node) for node in graph}
    found = {frozenset(b for b in reach[a] if a in reach[b]) for a in graph if a in reach[a]}
    return sorted(sorted(component) for component in found)


def module_pairs(root: Path = ROOT) -> set[tuple[str, str]]:
    return {(source, target) for source, target, _ in imports(root)}


# ------------------------------------------------------------------ what breaks the law


def foreign_arrows(root: Path = ROOT) -> list[str]:
    return [
        f"{a} → {b} ({', '.join(places[:3])})"
        for (a, b), places in sorted(room_arrows(root).items())
        if b not in ARROWS.get(a, "").split()
    ]


def frameworks_elsewhere(root: Path = ROOT) -> list[str]:
    return [
        f"{source.path}:{line} {name}"
        for source in sources(root).values()
        if room(source.module) not in ("backend", "adapters")
        for name, line in named(source)
        if name.split(".")[0] in FRAMEWORKS
    ]


def core_on_validation(root: Path = ROOT) -> list[str]:
    return [
        f"{sources(root)[source].path}:{line} → {target}"
        for source, target, line in imports(root)
        if room(target).startswith("validation") and not room(source).startswith(("validation", *READERS))
    ]


def long_files(root: Path = ROOT) -> list[str]:
    lengths = {source.path: len(source.text.splitlines()) for source in sources(root).values()}
    return [f"{path} {length} lines" for path, length in lengths.items() if length > LINES]


def long_functions(root: Path = ROOT) -> list[str]:
    found = []
    for source in sources(root).values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > BODY:
                    found.append(f"{source.path}:{node.lineno} {node.name} {length} lines")
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def owned(tree: ast.Module) -> set[str]:
    """The private names that a file defines: functions, classes, variables, fields and attributes of self."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def strangers(source: Source) -> set[str]:
    """The names under which a file knows modules of other packages."""
    found = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.level == 0):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return found


def private_across_files(root: Path = ROOT) -> list[str]:
    found = []
    for source in sources(root).values():
        own, foreign = owned(source.tree), strangers(source) | {"self", "cls"}
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [alias.name for alias in node.names if is_private(alias.name)]
                found += [f"{source.path}:{node.lineno} imports {name}" for name in names]
            elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
                root_name = re.split(r"\W", ast.unparse(node.value))[0]
                if root_name not in foreign or (root_name == "self" and ast.unparse(node.value) != "self"):
                    found.append(f"{source.path}:{node.lineno} {ast.unparse(node)}")
    return found


def settled_elsewhere(root: Path = ROOT) -> list[str]:
    return [
        f"{source.path}:{number}"
        for source in sources(root).values()
        if source.module != "wgfode.errors"
        for number, line in enumerate(source.text.splitlines(), 1)
        if "object.__setattr__" in line
    ]


def poor_docstrings(root: Path = ROOT) -> list[str]:
    """Public functions and classes without one, and those of module constants that are no sentence."""
    found = []
    for source in sources(root).values():
        if not ast.get_docstring(source.tree):
            found.append(f"{source.path} has no docstring")
        body = source.tree.body
        for node in body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                found.append(f"{source.path}:{node.lineno} {node.name} has no docstring")
        for node, following in pairwise(body):
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(following, ast.Expr):
                continue
            said = str(getattr(following.value, "value", "")).strip()
            if not said[:1].isupper() or not said.endswith("."):
                found.append(f"{source.path}:{following.lineno} is no sentence: {said[:40]!r}")
    return found


def test_every_room_is_known() -> None:
    rooms = {room(module) for module in sources()}
    assert rooms <= set(ARROWS), f"say in ARROWS of {__file__} what {sorted(rooms - set(ARROWS))} may import"


def test_rooms_import_what_they_may() -> None:
    assert not foreign_arrows()


def test_the_law_itself_has_no_circle() -> None:
    assert not circles({(a, b) for a, targets in ARROWS.items() for b in targets.split()})


def test_rooms_have_no_circle() -> None:
    assert not circles(set(room_arrows()))


def test_modules_have_no_circle() -> None:
    assert not circles(module_pairs())


def test_frameworks_are_met_in_backend_and_adapters_alone() -> None:
    assert not frameworks_elsewhere()


def test_the_core_imports_no_validation() -> None:
    assert not core_on_validation()


def test_files_are_short() -> None:
    assert not long_files()


def test_functions_are_short() -> None:
    assert not long_functions()


def test_private_names_stay_in_their_file() -> None:
    assert not private_across_files()


def test_frozen_values_are_settled_in_one_place() -> None:
    assert not settled_elsewhere()


def test_docstrings() -> None:
    assert not poor_docstrings()


def report(root: Path) -> None:
    """Print what is known of the tree at `root`."""
    arrows, pairs = room_arrows(root), module_pairs(root)
    rooms = sorted({room(module) for module in sources(root)})
    for name in rooms:
        print(f"{name:28} → {' '.join(sorted(b for a, b in arrows if a == name)) or '-'}")
    print(f"\n{len(rooms)} rooms, {len(arrows)} arrows, circles of rooms: {circles(set(arrows)) or 'none'}")
    print(f"{len(sources(root))} modules, {len(pairs)} arrows, circles of modules: {circles(pairs) or 'none'}")
    for check in (foreign_arrows, frameworks_elsewhere, core_on_validation, long_files, long_functions,
                  private_across_files, settled_elsewhere, poor_docstrings):  # fmt: skip
        found = check(root)
        print(f"\n{check.__name__.replace('_', ' ')}: {len(found)}")
        print("".join(f"  {line}\n" for line in found), end="")


if __name__ == "__main__":
    report(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
