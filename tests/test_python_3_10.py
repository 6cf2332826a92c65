"""What Python 3.10 does not take, and neither ruff nor mypy says.

Read from the sources, so that a later Python finds it too.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path for package in ("structgen", "jsonschemabench") for path in sorted((ROOT / package).rglob("*.py"))
]


def _named(base: ast.expr) -> str:
    """The last name of a base class: `Generic` of ``typing.Generic[T]``."""
    if isinstance(base, ast.Subscript):
        base = base.value
    return base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""


def refused(source: str) -> list[str]:
    """The classes that inherit from `NamedTuple` or `TypedDict` and from another, as Python 3.11 allows."""
    tree = ast.parse(source, feature_version=(3, 10))
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and len(node.bases) > 1
        and {_named(base) for base in node.bases} & {"NamedTuple", "TypedDict"}
    ]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class Pair(NamedTuple, Generic[T]): ...", ["Pair"]),
        ("class Row(typing.TypedDict, typing.Generic[T]): ...", ["Row"]),
        ("class Plain(NamedTuple): ...\nclass Tree(ABC, Generic[T]): ...", []),
    ],
)
def test_a_class_that_is_refused_is_found(source: str, names: list[str]) -> None:
    assert refused(source) == names


def test_no_class_is_refused() -> None:
    assert len(SOURCES) > 100
    assert {str(path): found for path in SOURCES if (found := refused(path.read_text()))} == {}
