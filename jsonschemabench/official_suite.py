"""The official JSON Schema Test Suite: its cases, and the documents that they refer to.

Numbers are read and written exactly. What is not read: ``tests/latest``, a link to the newest released draft,
and the dialects ``tests/v1`` (unreleased) and ``tests/draft3`` (older than what structgen knows).
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschemabench import datasets

DRAFTS = ("4", "6", "7", "2019-09", "2020-12")

SECTIONS = ("required", "optional", "format")
"""What the specification requires, what it leaves open, and the cases that assert formats."""

ARCHIVE = "json-schema-test-suite.tar.xz"

DIALECTS = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}

_REMOTES = "http://localhost:1234/"


@dataclass(frozen=True, slots=True)
class Test:
    """One instance of a case and whether it is valid."""

    description: str
    data: Any
    valid: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A schema of the suite with its instances; numbers are exact."""

    draft: str
    file: str
    description: str
    schema: Any
    tests: tuple[Test, ...]

    @property
    def section(self) -> str:
        """One of :data:`SECTIONS`."""
        return section_of(self.file)

    @property
    def option(self) -> str | None:
        """The draft that a compiler must be told: where schemas can say it themselves, they have to."""
        names = isinstance(self.schema, dict) and "$schema" in self.schema
        return None if names and self.draft in ("2019-09", "2020-12") else self.draft


def section_of(file: str) -> str:
    """Return the section of a file, one of :data:`SECTIONS`."""
    if not file.startswith("optional/"):
        return "required"
    return "format" if file.startswith(("optional/format/", "optional/format-assertion")) else "optional"


def parse(text: str | bytes) -> Any:
    """Parse JSON with exact numbers: ``int`` or :class:`decimal.Decimal`."""
    return json.loads(text, parse_float=Decimal)


def compact(value: Any) -> str:
    """Write the text without white space, numbers as they are; lone surrogates are escaped."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(key)}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, Decimal):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if any("\ud800" <= character <= "\udfff" for character in text) else text


def default_data(folder: Path = datasets.DEFAULT_FOLDER) -> Path | None:
    """Find the archive in the folder that ``STRUCTGEN_DATA`` names, else in ``folder``, or None."""
    named = os.environ.get(datasets.DATA_VARIABLE)
    archive = (Path(named) if named else folder) / ARCHIVE
    return archive if archive.is_file() else None


class OfficialSuite:
    """The suite in a folder or a tar archive.

    Parameters
    ----------
    path
        What holds the folders ``tests`` and ``remotes``.

    Raises
    ------
    DatasetError
        If it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._files = datasets.read_files(path)
        if not any(name.startswith("tests/draft") for name in self._files):
            raise datasets.DatasetError(f"{path} does not hold the JSON Schema Test Suite")
        self._registries: dict[str, Any] = {}

    def files(self, draft: str) -> list[str]:
        """Name the files of a draft, without suffix, such as ``oneOf`` and ``optional/format/date``."""
        prefix = f"tests/draft{draft}/"
        return sorted(name.removeprefix(prefix) for name in self._files if name.startswith(prefix))

    def cases(self, draft: str, file: str) -> list[Case]:
        """Read the cases of a file."""
        return [
            Case(
                draft,
                file,
                case["description"],
                case["schema"],
                tuple(Test(test["description"], test["data"], test["valid"]) for test in case["tests"]),
            )
            for case in parse(self._files[f"tests/draft{draft}/{file}"])
        ]

    def registry(self, draft: str) -> Any:
        """Make the ``referencing.Registry`` of the documents that the cases of a draft refer to."""
        if draft not in self._registries:
            import referencing

            self._registries[draft] = referencing.Registry().with_resources(self._resources(draft))
        return self._registries[draft]

    def _resources(self, draft: str) -> Iterator[tuple[str, Any]]:
        import referencing
        from referencing.jsonschema import UnknownDialect, specification_with

        for name, raw in self._files.items():
            if not name.startswith("remotes/"):
                continue
            path, document = name.removeprefix("remotes/"), json.loads(raw)
            folder = path.split("/")[0].removeprefix("draft")
            if folder in ("3", "v1"):
                continue
            # Documents in no draft's folder are read as the draft under test.
            default = specification_with(DIALECTS[folder if folder in DRAFTS else draft])
            try:
                resource = referencing.Resource.from_contents(document, default_specification=default)
            except UnknownDialect:
                # A metaschema of the suite's own: its vocabularies are those of the folder's draft.
                resource = default.create_resource(document)
            yield f"{_REMOTES}{path}.json", resource


@functools.cache
def load(path: Path) -> OfficialSuite:
    """Read the suite once per process."""
    return OfficialSuite(path)
