"""Imports point down, never up and never in a circle; randomness and wall time come through one door.

Every file is read as text, nothing is imported. An import under ``TYPE_CHECKING`` may form a circle, as nothing
is loaded, but may not point up either.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("simdfl", "topologies", "adversaries", "contracts_model")
FLOORS = (
    {"units", "rng", "errors", "trace", "memo", "store", "folders", "canonical", "kernel"},
    {"crypto", "learning", "aggregation"},
    {"network", "chain"},
    {"peers", "protocols"},
    {"scenario", "world", "records", "study"},
    {"run", "testing", "sweep", "report", "audit", "view", "auditing", "matrix", "figures", "incentives"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ASSEMBLY = 4
RANDOM_DOOR = Path("simdfl/rng.py")

# What each package may import beside itself and the standard library; None is anything.
ALLOWED: dict[str, set[str] | None] = {
    "contracts_model": set(),
    "topologies": {"numpy", "scipy", "networkx"},
    # Poison and the rules are pure and lower than any actor: an attacker who knows the defence computes with it.
    "adversaries": {
        "simdfl.peers.behaviour",
        "simdfl.errors",
        "simdfl.learning.poison",
        "simdfl.aggregation",
        "numpy",
        "jax",
    },
    "simdfl": None,
}
BANNED_MODULES = {"random", "secrets"}
BANNED_CALLS = {
    "numpy.random",
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "os.urandom",
    "uuid.uuid1",
    "uuid.uuid4",
}
BANNED_EXCEPT = {"numpy.random.Generator", "numpy.random.BitGenerator", "numpy.random.SeedSequence"}


@dataclass(frozen=True)
class Import:
    """One import statement's target, as a dotted name."""

    importer: str
    target: str
    line: int
    types_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def read_modules(root: Path) -> dict[str, ast.Module]:
    """Return all modules of the packages below `root`, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def statements(node: ast.AST, types_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield all nodes below `node` and whether each stands under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for inner in child.body:
                yield inner, True
                yield from statements(inner, True)
            for inner in child.orelse:
                yield inner, types_only
                yield from statements(inner, types_only)
            continue
        yield child, types_only
        yield from statements(child, types_only)


def imports_of(name: str, tree: ast.Module, modules: dict[str, ast.Module]) -> Iterator[Import]:
    """Yield what one module imports; ``from package import module`` counts as the module."""
    for node, types_only in statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, types_only)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative import"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield Import(name, inside if inside in modules else str(node.module), node.lineno, types_only)


def all_imports(modules: dict[str, ast.Module]) -> list[Import]:
    return [found for name, tree in modules.items() for found in imports_of(name, tree, modules)]


def floor_of(name: str) -> int | None:
    """Return the floor of a module of simdfl; None for the package itself, which holds constants only."""
    parts = name.split(".")
    if parts[0] != "simdfl" or len(parts) == 1:
        return None
    assert parts[1] in FLOOR_OF, f"simdfl.{parts[1]} stands on no floor; enter it in FLOORS"
    return FLOOR_OF[parts[1]]


def upward(imports: list[Import]) -> list[str]:
    """Return imports from a lower floor of simdfl into a higher one, or into `adversaries` below assembly."""
    wrong = []
    for found in imports:
        here, there = floor_of(found.importer), floor_of(found.target)
        if here is not None and there is not None and there > here:
            wrong.append(f"{found}: floor {here} to {there}")
        if here is not None and found.target.split(".")[0] == "adversaries" and here < ASSEMBLY:
            wrong.append(f"{found}: floor {here} knows an attack")
        if here is None and found.importer == "simdfl" and there is not None:
            wrong.append(f"{found}: the package itself imports a room")
    return wrong


def foreign(imports: list[Import]) -> list[str]:
    """Return imports that a package may not make."""
    wrong = []
    for found in imports:
        package, top = found.importer.split(".")[0], found.target.split(".")[0]
        allowed = ALLOWED[package]
        if allowed is None or top == package or top in sys.stdlib_module_names:
            continue
        if top not in allowed and found.target not in allowed:
            wrong.append(str(found))
    return wrong


def loading_graph(imports: list[Import], modules: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Return which module loads which; loading ``a.b`` loads ``a`` first."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for found in imports:
        if found.types_only:
            continue
        parts = found.target.split(".")
        loaded = {".".join(parts[: end + 1]) for end in range(len(parts))} & modules.keys()
        # A package is half loaded while its own modules are: that is no circle of theirs.
        around = {name for name in loaded if found.importer == name or found.importer.startswith(f"{name}.")}
        graph[found.importer] |= loaded - around
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return a circle of names, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room_graph(imports: list[Import]) -> dict[str, set[str]]:
    """Return which room of simdfl loads which."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.types_only or floor_of(found.importer) is None or floor_of(found.target) is None:
            continue
        here, there = found.importer.split(".")[1], found.target.split(".")[1]
        if here != there:
            graph.setdefault(here, set()).add(there)
    return graph


def dotted_name(node: ast.AST, aliases: dict[str, str]) -> str:
    """Return ``numpy.random.default_rng`` for ``np.random.default_rng``; an empty text for other nodes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)])


def aliases_of(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(
                {a.asname: a.name for a in node.names if a.asname} | {a.name: a.name for a in node.names}
            )
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def is_banned(name: str) -> bool:
    if name in BANNED_EXCEPT or name == "numpy.random":
        return False
    return any(name == banned or name.startswith(f"{banned}.") for banned in BANNED_CALLS)


def unseeded(modules: dict[str, ast.Module]) -> list[str]:
    """Return every use of a source of randomness or wall time outside the one door for it."""
    wrong = []
    for name, tree in modules.items():
        if name == ".".join(RANDOM_DOOR.with_suffix("").parts):
            continue
        aliases = aliases_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wrong += [f"{name}:{node.lineno} {a.name}" for a in node.names if a.name in BANNED_MODULES]
            elif isinstance(node, ast.ImportFrom) and node.module in BANNED_MODULES:
                wrong.append(f"{name}:{node.lineno} {node.module}")
            elif isinstance(node, (ast.Attribute, ast.Name)) and is_banned(dotted_name(node, aliases)):
                wrong.append(f"{name}:{node.lineno} {dotted_name(node, aliases)}")
    return wrong


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return read_modules(ROOT)


@pytest.fixture(scope="module")
def imports(modules: dict[str, ast.Module]) -> list[Import]:
    return all_imports(modules)


def test_all_rooms_are_seen(modules: dict[str, ast.Module]) -> None:
    assert len(modules) > 80
    assert {name.split(".")[0] for name in modules} == set(PACKAGES)


def test_no_import_points_up(imports: list[Import]) -> None:
    assert upward(imports) == []


def test_no_circle_among_modules(imports: list[Import], modules: dict[str, ast.Module]) -> None:
    assert circle(loading_graph(imports, modules)) == []


def test_no_circle_among_rooms(imports: list[Import]) -> None:
    assert circle(room_graph(imports)) == []


def test_packages_import_only_what_they_may(imports: list[Import]) -> None:
    assert foreign(imports) == []


def test_randomness_and_wall_time_have_one_door(modules: dict[str, ast.Module]) -> None:
    assert unseeded(modules) == []


def bad_tree(root: Path, **files: str) -> dict[str, ast.Module]:
    """Write files (``simdfl__crypto__INIT`` is simdfl/crypto/__init__.py) and read them like the real tree."""
    for name, text in files.items():
        parts = ["__init__" if part == "INIT" else part for part in name.split("__")]
        path = root.joinpath(*parts).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_modules(root)


def test_checker_sees_an_upward_import(tmp_path: Path) -> None:
    tree = bad_tree(
        tmp_path,
        simdfl__crypto__keys="def late():\n    from simdfl.network import Message\n",
        simdfl__kernel__actor="from __future__ import annotations\nif TYPE_CHECKING:\n    import simdfl.world\n",
        simdfl__peers__peer="from adversaries import SignFlip\n",
        simdfl__world__build="from adversaries import SignFlip\nfrom simdfl.crypto.keys import late\n",
    )
    assert upward(all_imports(tree)) == [
        "simdfl.crypto.keys:2 imports simdfl.network: floor 1 to 2",
        "simdfl.kernel.actor:3 imports simdfl.world: floor 0 to 4",
        "simdfl.peers.peer:1 imports adversaries: floor 3 knows an attack",
    ]


def test_checker_sees_a_circle(tmp_path: Path) -> None:
    tree = bad_tree(
        tmp_path,
        simdfl__crypto__a="import simdfl.crypto.b\n",
        simdfl__crypto__b="def late():\n    from simdfl.crypto import c\n",
        simdfl__crypto__c="from simdfl.crypto.a import x\n",
    )
    assert set(circle(loading_graph(all_imports(tree), tree))) == {
        "simdfl.crypto.a",
        "simdfl.crypto.b",
        "simdfl.crypto.c",
    }


def test_checker_lets_a_circle_of_types_pass(tmp_path: Path) -> None:
    tree = bad_tree(
        tmp_path,
        simdfl__crypto__a="import simdfl.crypto.b\n",
        simdfl__crypto__b="if TYPE_CHECKING:\n    from simdfl.crypto.a import x\n",
    )
    assert circle(loading_graph(all_imports(tree), tree)) == []


def test_checker_sees_a_circle_through_a_package(tmp_path: Path) -> None:
    """``records`` asks for a leaf of ``world``, whose package loads a module that needs ``records`` again."""
    tree = bad_tree(
        tmp_path,
        simdfl__world__INIT="from simdfl.world.build import build\n",
        simdfl__world__build="from simdfl.records.folder import write\n",
        simdfl__world__result="",
        simdfl__records__folder="from simdfl.world.result import Result\n",
    )
    graph = loading_graph(all_imports(tree), tree)
    assert set(circle(graph)) >= {"simdfl.world.build", "simdfl.records.folder"}
    assert set(circle(room_graph(all_imports(tree)))) == {"world", "records"}


def test_checker_sees_a_foreign_import(tmp_path: Path) -> None:
    tree = bad_tree(
        tmp_path,
        contracts_model__ledger="import json\nimport numpy\n",
        topologies__ring="from simdfl.errors import UserError\n",
        adversaries__spy="from simdfl.peers.behaviour import Turn\nfrom simdfl.peers.peer import Peer\n",
    )
    assert sorted(foreign(all_imports(tree))) == [
        "adversaries.spy:2 imports simdfl.peers.peer",
        "contracts_model.ledger:2 imports numpy",
        "topologies.ring:1 imports simdfl.errors",
    ]


def test_checker_sees_hidden_randomness_and_time(tmp_path: Path) -> None:
    tree = bad_tree(
        tmp_path,
        simdfl__rng="import numpy as np\nnp.random.default_rng(1)\n",
        simdfl__run="import time\ntime.perf_counter()\ntime.time()\n",
        simdfl__crypto__keys="import os, secrets\nfrom random import choice\nos.urandom(3)\n",
        simdfl__learning__data="import numpy as np\nfrom numpy.random import default_rng as make\n"
        "def draw(rng: np.random.Generator):\n    return np.random.rand(), make()\n",
        topologies__ring="from datetime import datetime\ndatetime.now()\nimport numpy.random as nr\nnr.seed(1)\n",
    )
    assert sorted(unseeded(tree)) == [
        "simdfl.crypto.keys:1 secrets",
        "simdfl.crypto.keys:2 random",
        "simdfl.crypto.keys:3 os.urandom",
        "simdfl.learning.data:4 numpy.random.default_rng",
        "simdfl.learning.data:4 numpy.random.rand",
        "simdfl.run:3 time.time",
        "topologies.ring:2 datetime.datetime.now",
        "topologies.ring:4 numpy.random.seed",
    ]
