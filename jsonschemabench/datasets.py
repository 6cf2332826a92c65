"""Datasets: schemas, each with instances labelled valid or invalid.

A dataset is a list of :class:`Case`, so another source of schemas only has to produce those.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA_VARIABLE = "STRUCTGEN_DATA"
"""Environment variable naming the default place of the data."""

DEFAULT_FOLDER = Path("..") / "shared" / "data"
"""Where the data is looked for when neither ``--data`` nor the variable is given."""

MASKBENCH_ARCHIVE = "maskbench-dev.tar.xz"


HUB_PREFIX = "hub:"
"""What a dataset of the Hugging Face hub is named with, as in ``hub:epfl-dlab/JSONSchemaBench``."""

SMALL = Path(__file__).parent / "schemas" / "small.jsonl"
"""The package's own schemas, over all keywords, each with valid and invalid instances."""


class DatasetError(Exception):
    """The data is missing or not in the expected form."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One JSON value and whether the schema allows it.

    Attributes
    ----------
    data
        The value, as ``json.loads`` gives it.
    valid
        The label.
    description
        Where the value came from, for reports.
    text
        Its JSON text where the spelling matters; by default what ``json.dumps`` writes.
    """

    data: Any
    valid: bool
    description: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a schema is meant where its text does not say so: for engines that can be told.

    Attributes
    ----------
    draft
        Its draft, when the schema does not name it.
    dialect
        The URI of that draft.
    assert_formats
        Whether ``format`` constrains.
    suite, remotes
        Place of the official suite, and the draft whose remote documents the schema may refer to.
    """

    draft: str | None
    dialect: str
    assert_formats: bool
    suite: Path
    remotes: str


@dataclass(frozen=True, slots=True)
class Case:
    """A schema with its labelled instances; ``text`` is its JSON text where the spelling matters."""

    name: str
    schema: Any
    instances: tuple[Instance, ...]
    text: str = ""
    reading: Reading | None = None


def default_data() -> Path | None:
    """Find the data when none is named.

    Returns
    -------
    Path or None
        What ``STRUCTGEN_DATA`` names, or the archive in ``../shared/data``; a folder that holds the
        archive stands for the archive. None when neither exists.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else DEFAULT_FOLDER
    if (folder / MASKBENCH_ARCHIVE).is_file():
        return folder / MASKBENCH_ARCHIVE
    return folder if named and folder.exists() else None


def find(named: str | Path | None) -> Path:
    """Find a dataset by what a user calls it.

    Parameters
    ----------
    named
        A folder or a file; a bare file name is also looked for where the data is by default. ``small`` is the
        package's own set, ``hub:OWNER/NAME`` or ``hub:OWNER/NAME/FOLDER`` a dataset of the Hugging Face hub,
        which is downloaded. None is :func:`default_data`, else the package's own set.

    Raises
    ------
    DatasetError
        If it is not there, or can't be downloaded.
    """
    if named is None:
        return default_data() or SMALL
    text, path = str(named), Path(named)
    if text == "small":
        return SMALL
    if text.startswith(HUB_PREFIX):
        from jsonschemabench.hub import download

        return download(text.removeprefix(HUB_PREFIX))
    if not path.exists() and path.name == text:
        # A name alone is one of the archives that lie where the data is by default.
        variable = os.environ.get(DATA_VARIABLE)
        beside = (Path(variable) if variable else DEFAULT_FOLDER) / text
        path = beside if beside.exists() else path
    if not path.exists():
        raise DatasetError(f"{named} does not exist, neither here nor in ${DATA_VARIABLE}")
    return path


def load(path: Path, *, sample: int | None = None, seed: int = 0) -> list[Case]:
    """Read schemas with their instances.

    Parameters
    ----------
    path
        A folder (searched recursively) or a tar archive, compressed or not, of JSON files: MaskBench cases,
        or schemas without instances. Else a file of JSON lines (``.jsonl``), see :func:`parse_line`, or a
        folder of Parquet files, as the Hugging Face hub has JSONSchemaBench.
    sample
        How many cases to draw without replacement; None or a number at least as large as the
        dataset takes all.
    seed
        Seed of the draw. The order of the cases is random too, so that the families of schemas,
        which follow each other by name, are spread over the run.

    Returns
    -------
    list of Case

    Raises
    ------
    DatasetError
        If there is nothing there, or something is not in one of these forms.
    """
    cases: dict[str, Case] | None = None
    files: dict[str, bytes] = {}
    if path.is_file() and path.suffix == ".jsonl":
        cases = _lines(path)
    elif path.is_dir() and any(path.rglob("*.parquet")):
        from jsonschemabench.hub import read_parquet

        cases = {case.name: case for case in read_parquet(path)}
    else:
        files = read_files(path)
    names = sorted(cases if cases is not None else files)
    if not names:
        raise DatasetError(f"{path} holds no .json file" if cases is None else f"{path} holds no schema")
    size = len(names) if sample is None else min(sample, len(names))
    drawn = random.Random(seed).sample(names, size)
    return [parse(name, files[name]) if cases is None else cases[name] for name in drawn]


def parse(name: str, raw: bytes) -> Case:
    """Parse a file: a MaskBench case, an object with ``schema`` and a list ``tests``, or else a schema.

    Raises
    ------
    DatasetError
        If the file has another form.
    """
    try:
        content = json.loads(raw)
        if isinstance(content, dict) and not content.keys() & {"schema", "tests"}:
            return Case(name, content, (), raw.decode())
        instances = tuple(
            Instance(test["data"], bool(test["valid"]), str(test.get("description", "")))
            for test in content.get("tests", [])
        )
        return Case(name, content["schema"], instances)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{name} is not a MaskBench case, nor a schema: {error!r}") from error


def parse_line(content: Any, default_name: str) -> Case:
    """Make a case of an object of a file of JSON lines.

    It holds ``schema`` (a schema, or the text of one), and may hold ``name``, and lists ``valid`` and
    ``invalid`` of instances. Rows of JSONSchemaBench, ``json_schema`` and ``unique_id``, are read too.

    Raises
    ------
    ValueError, TypeError
        If it has another form.
    """
    if not isinstance(content, dict):
        raise TypeError(f"an object is wanted, not {type(content).__name__}")
    known = ("schema", "name", "valid", "invalid", "json_schema", "unique_id")
    for key in content:
        if key not in known:
            raise ValueError(f"no key {key!r}; there are {', '.join(known)}")
    if ("schema" in content) == ("json_schema" in content):
        raise ValueError("a line has either 'schema' or 'json_schema'")
    schema = content["schema"] if "schema" in content else content["json_schema"]
    text = schema if isinstance(schema, str) else ""
    name = content.get("name", content.get("unique_id", default_name))
    if not isinstance(name, str):
        raise TypeError(f"'name' is a text, not {name!r}")
    instances = []
    for label in ("valid", "invalid"):
        found = content.get(label, [])
        if not isinstance(found, list):
            raise TypeError(f"{label!r} is a list of instances, not {found!r}")
        instances += [Instance(data, label == "valid") for data in found]
    return Case(name, json.loads(text) if text else schema, tuple(instances), text)


def _lines(path: Path) -> dict[str, Case]:
    found: dict[str, Case] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} can't be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = parse_line(json.loads(line), f"line {number}")
        except (ValueError, TypeError, RecursionError) as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error
        if case.name in found:
            raise DatasetError(f"{path}, line {number}: a second schema is named {case.name!r}")
        found[case.name] = case
    return found


def read_files(path: Path) -> dict[str, bytes]:
    """Read the JSON files of a folder (searched recursively) or of a tar archive, compressed or not.

    Returns
    -------
    dict of str to bytes
        The contents by path, without the suffix.

    Raises
    ------
    DatasetError
        If there is nothing there.
    """
    if path.is_dir():
        return dict(_folder_files(path))
    if not path.is_file():
        raise DatasetError(f"{path} does not exist")
    try:
        return dict(_archive_files(path))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DatasetError(f"{path} is not a readable tar archive: {error}") from error


def digest(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file, or of names and contents of a folder's data files.

    Raises
    ------
    DatasetError
        If it can't be read.
    """
    try:
        if not path.is_dir():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        total = hashlib.sha256()
        for file in sorted([*path.rglob("*.json"), *path.rglob("*.parquet")]):
            name = file.relative_to(path).as_posix()
            total.update(f"{hashlib.sha256(file.read_bytes()).hexdigest()} {name}\n".encode())
        return total.hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error}") from error


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in folder.rglob("*.json"):
        yield file.relative_to(folder).with_suffix("").as_posix(), file.read_bytes()


def _archive_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
            if stream is not None:
                yield member.name.removeprefix("./").removesuffix(".json"), stream.read()
