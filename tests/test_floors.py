"""The one-way floors: flows -> tasks -> models, and what each floor may not know."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "models": {"tasks", "flows", "prefect", "polars", "fsspec"},
    "tasks": {"flows"},
    "flows": {"polars", "fsspec"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("floor", sorted(FORBIDDEN))
def test_imports_point_one_way(floor: str) -> None:
    """No floor imports one above it, nor a package it must not know."""
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imported(path)
        if module.split(".")[0] in FORBIDDEN[floor]
    ]
    assert wrong == []


def test_nothing_reads_the_development_data() -> None:
    """The product never touches the development data."""
    for floor in FORBIDDEN:
        for path in (ROOT / floor).rglob("*.py"):
            assert "../shared" not in path.read_text("utf-8"), path
