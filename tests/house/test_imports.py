"""The import directions of CONTRIBUTING.md: what each folder may import, read from the source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAVES = {"arbonn.errors", "arbonn.files", "arbonn.settings"}  # everyone's; they import no folder
MAY_IMPORT = {"model": {"model"}, "hw": {"hw"}, "sim": {"sim", "hw"}, "flows": {"flows", "model", "hw", "sim"}}
FORBIDDEN = {
    "hw": {"torch", "onnx", "onnxruntime", "qonnx", "brevitas", "cocotb"},
    "sim": {"torch", "onnx", "onnxruntime", "qonnx", "brevitas"},
    "model": {"amaranth", "cocotb"},
    "flows": set(),
}


def imports(path: Path) -> Iterator[str]:
    """Full names of everything a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides the folder"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def illegal(folder: str, name: str) -> bool:
    """Whether a file of `folder` may not import `name`."""
    parts = name.split(".")
    if parts[0] != "arbonn":
        return parts[0] in FORBIDDEN[folder] or parts[0] in MAY_IMPORT  # `import hw` finds nothing, or a user's own file
    leaf = any(name == module or name.startswith(f"{module}.") for module in LEAVES)
    return not leaf and (len(parts) < 2 or parts[1] not in MAY_IMPORT[folder]) and name not in ("arbonn", "arbonn.__version__")


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [f"{f.relative_to(ROOT)}: {name}" for f in files for name in imports(f) if illegal(folder, name)] == []


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaf_modules_import_no_folder(leaf: str) -> None:
    path = ROOT.joinpath(*leaf.split(".")).with_suffix(".py")
    assert [name for name in imports(path) if name.startswith("arbonn") and not any(name.startswith(other) for other in LEAVES)] == []


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [("hw", "arbonn.sim.trace.Trace", True), ("hw", "torch", True), ("sim", "arbonn.hw.graph", False), ("sim", "arbonn.flows", True),
     ("model", "arbonn.settings.Settings", False), ("flows", "arbonn.model.train", False), ("hw", "hw.graph", True)],
)  # fmt: skip
def test_the_rule_itself(folder: str, name: str, expected: bool) -> None:
    assert illegal(folder, name) is expected
