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


def load(path: Path, *, sample: int | None = None, seed: int = 0) -> list[Case]:
    """Read MaskBench cases from a folder or a tar archive of JSON files.

    Parameters
    ----------
    path
        A folder (searched recursively) or a tar archive, compressed or not.
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
        If there is nothing there, or a file is not a MaskBench case.
    """
    files = read_files(path)
    if not files:
        raise DatasetError(f"{path} holds no .json file")
    names = sorted(files)
    size = len(names) if sample is None else min(sample, len(names))
    return [parse_maskbench(name, files[name]) for name in random.Random(seed).sample(names, size)]


def parse_maskbench(name: str, raw: bytes) -> Case:
    """Parse one MaskBench file: an object with ``schema`` and a list ``tests``.

    Raises
    ------
    DatasetError
        If the file has another form.
    """
    try:
        content = json.loads(raw)
        instances = tuple(
            Instance(test["data"], bool(test["valid"]), str(test.get("description", "")))
            for test in content.get("tests", [])
        )
        return Case(name, content["schema"], instances)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{name} is not a MaskBench case: {error!r}") from error


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
    """Return the SHA-256 (hexadecimal) of an archive, or of names and contents of a folder's JSON files.

    Raises
    ------
    DatasetError
        If it can't be read.
    """
    try:
        if not path.is_dir():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        total = hashlib.sha256()
        for file in sorted(path.rglob("*.json")):
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
