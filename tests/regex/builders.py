"""The builders that every test of the regex front ends runs over."""

import pytest

from structgen._frontends.regex import RegexBuilder
from tests.regex.reference import ReferenceBuilder

try:
    from structgen._core import Builder

    _missing = None
except ImportError as error:
    _missing = str(error)


def core_builder() -> RegexBuilder:
    """A builder of the native core, over a vocabulary of single bytes."""
    from structgen import Vocabulary

    vocabulary = Vocabulary([bytes([i]) for i in range(256)] + [b""], eos_token_ids=[256])
    return Builder(vocabulary.native)


every_builder = pytest.mark.parametrize(
    "make_builder",
    [
        pytest.param(ReferenceBuilder, id="reference"),
        pytest.param(
            core_builder,
            id="core",
            marks=[pytest.mark.skip(reason=f"the native core cannot be imported: {_missing}")]
            if _missing
            else [],
        ),
    ],
)
