"""Print what the project and its extras need, one requirement a line: ``requirements.py EXTRA ...``.

The Makefile installs these without the project itself, which it builds in place.
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """Return the core's requirements and those of `extras`, references to our own extras resolved."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    found: list[str] = []
    pending = list(project["dependencies"])
    for extra in extras:
        pending += project["optional-dependencies"][extra]
    for requirement in pending:
        own = re.fullmatch(rf"{project['name']}\[(.*)\]", requirement)
        if own:
            pending += [r for extra in own[1].split(",") for r in project["optional-dependencies"][extra]]
        else:
            found.append(requirement)
    return sorted(set(found))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
