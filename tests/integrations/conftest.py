"""The integrations, imported against the real interfaces where they are installed."""

import importlib

import pytest

from tests.integrations import contracts


@pytest.fixture(scope="module")
def vllm_plugin():
    """structgen.integrations.vllm."""
    contracts.install()
    yield importlib.import_module("structgen.integrations.vllm")
    contracts.uninstall()


@pytest.fixture(scope="module")
def sglang_plugin():
    """structgen.integrations.sglang."""
    contracts.install()
    yield importlib.import_module("structgen.integrations.sglang")
    contracts.uninstall()
