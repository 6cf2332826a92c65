"""Engine adapters by name.

An engine is named by a key of :data:`ENGINES`, or as ``module:Class`` for adapters that live elsewhere.
"""

from __future__ import annotations

import importlib

from jsonschemabench.engines.base import (
    CompileError,
    Engine,
    EngineUnavailableError,
    SchemaInput,
    UnsatisfiableError,
)

__all__ = [
    "ANY_ORDER",
    "DEFAULT_ENGINES",
    "ENGINES",
    "LARK_ENGINES",
    "CompileError",
    "Engine",
    "EngineUnavailableError",
    "SchemaInput",
    "UnsatisfiableError",
    "engine_class",
]

ENGINES: dict[str, str] = {
    "structgen": "jsonschemabench.engines.structgen:StructgenEngine",
    "structgen_any_order": "jsonschemabench.engines.structgen:StructgenAnyOrderEngine",
    "llguidance": "jsonschemabench.engines.llguidance:LLGuidanceEngine",
    "xgrammar": "jsonschemabench.engines.xgrammar:XGrammarEngine",
    "outlines_core": "jsonschemabench.engines.outlines_core:OutlinesCoreEngine",
}
"""Adapters by the name that ``--engines`` takes; none is imported before it is used."""

LARK_ENGINES: dict[str, str] = {
    "structgen_lark": "jsonschemabench.engines.lark:StructgenLarkEngine",
    "llguidance_lark": "jsonschemabench.engines.lark:LLGuidanceLarkEngine",
}
"""Adapters that read Lark grammars in place of schemas."""

DEFAULT_ENGINES = tuple(name for name in ENGINES if name != "structgen_any_order")
"""What runs when no engine is named: each project once."""

ANY_ORDER = {"structgen": "structgen_any_order"}
"""The adapters that let keys come in any order, by the name of the adapter that does not."""


def engine_class(name: str) -> type[Engine]:
    """Import an adapter class.

    Parameters
    ----------
    name
        A key of :data:`ENGINES`, or ``module:Class``.

    Raises
    ------
    EngineUnavailableError
        If there is no such adapter.
    """
    module_name, _, class_name = (ENGINES | LARK_ENGINES).get(name, name).partition(":")
    if not class_name:
        known = ", ".join(ENGINES)
        raise EngineUnavailableError(f"no engine {name!r}; there are {known}, or name one as module:Class")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise EngineUnavailableError(f"engine {name!r} can't be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise EngineUnavailableError(f"{name!r} is not a subclass of jsonschemabench.engines.Engine")
    return found
