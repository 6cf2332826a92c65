"""Patterns of real schemas are lowered, or refused with a reason, and mean what regress says.

The collection is a folder of JSON files with a ``schema`` member each: the environment variable
``STRUCTGEN_DATA``, or ``../shared/data`` beside the repository.
"""

import collections
import functools
import json
import os
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import regress

from structgen import RegexError
from structgen._frontends.regex import lower_ecma
from tests.regex import strategies
from tests.regex.reference import ReferenceBuilder

_FOLDER = Path(os.environ.get("STRUCTGEN_DATA") or Path(__file__).parents[3] / "shared" / "data")


def _documents() -> Iterator[Any]:
    for path in sorted(_FOLDER.glob("**/*.json")):
        yield json.loads(path.read_bytes())
    for path in sorted(_FOLDER.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".json") else None
                if file is not None:
                    yield json.load(file)


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "pattern" and isinstance(inner, str):
                yield inner
            elif key == "patternProperties" and isinstance(inner, dict):
                yield from inner
            yield from _patterns(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _patterns(inner)


@functools.cache
def patterns_of_real_schemas() -> list[str]:
    """Return every pattern of the collection, in order."""
    documents = (document for document in _documents() if isinstance(document, dict) and "schema" in document)
    return sorted({p for document in documents for p in _patterns(document["schema"])})


def test_patterns_of_real_schemas() -> None:
    patterns = patterns_of_real_schemas()
    if not patterns:
        pytest.skip(f"no schemas in {_FOLDER}; set STRUCTGEN_DATA to a folder of them")
    refused: collections.Counter[str] = collections.Counter()
    rng = random.Random(0)
    for pattern in rng.sample(patterns, min(600, len(patterns))):
        builder = ReferenceBuilder()
        try:
            regex = lower_ecma(pattern, builder)
        except RegexError as error:
            refused[error.reason] += 1
            continue
        try:
            oracle = regress.Regex(pattern, "u")
        except regress.RegressError:
            oracle = regress.Regex(pattern)
        for text in ["", "a", "0", "1.2", "\n", *strategies.around_shortest(builder, regex, rng)]:
            assert builder.re_matches(regex, text) == (oracle.find(text) is not None), (pattern, text)
    print(f"{len(patterns)} patterns, refused in the sample: {dict(refused)}")
    assert all("backreference" in reason for reason in refused)
