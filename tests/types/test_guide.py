"""The examples of docs/types.md run as they are printed, one after the other."""

import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[2] / "docs" / "types.md"


def test_the_examples_run() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    examples = re.findall(
        r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(examples) > 5
    for example in examples:
        exec(compile(example, str(GUIDE), "exec"), names)
