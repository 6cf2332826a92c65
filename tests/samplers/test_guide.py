"""The examples of docs/samplers.md run as they are printed, one after the other, and its images exist."""

import re
from pathlib import Path
from typing import Any

import pytest

from structgen.testing import PotentialLaws

GUIDE = Path(__file__).parents[2] / "docs" / "samplers.md"
TEXT = GUIDE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """Run all examples; return what they define."""
    names: dict[str, Any] = {"__name__": "guide"}
    examples = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(examples) == 11
    for example in examples:
        exec(compile(example, str(GUIDE), "exec", dont_inherit=True), names)
    return names


def test_the_examples_run(names: dict[str, Any]) -> None:
    assert {s.value["low"] for s in names["result"].sequences if s.weight}


@pytest.mark.parametrize("law", [name for name in dir(PotentialLaws) if name.startswith("test_")])
def test_the_potential_of_the_guide_obeys_the_laws(names: dict[str, Any], law: str) -> None:
    getattr(names["TestBrackets"](), law)()


def test_images_exist() -> None:
    images = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
    assert len(images) == 5
    assert all((GUIDE.parent / image).is_file() for image in images)
