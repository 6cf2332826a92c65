"""What the engines that patterns are held against do not know in their older versions."""

import importlib.metadata
import re
import sys

import pytest

# The last regress for Python 3.10 is of 2025.
OLD_REGRESS = int(importlib.metadata.version("regress").partition(".")[0]) < 2026

possessive = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before 3.11, re has neither possessive quantifiers nor atomic groups"
)
flags_at_the_start = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before 3.11, re takes flags of the whole pattern anywhere"
)
modern_regress = pytest.mark.skipif(
    OLD_REGRESS,
    reason="this regress knows neither flags of groups, names of groups that come again nor Unicode 16",
)


def has_flags_of_groups(pattern: str) -> bool:
    return re.search(r"\(\?[ims]", pattern) is not None
