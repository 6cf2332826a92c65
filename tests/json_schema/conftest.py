"""Every table runs twice: on the lowering alone, with a reference builder, and on the native core."""

import pytest

from tests.json_schema.support import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Name the engine of a test."""
    return str(request.param)
