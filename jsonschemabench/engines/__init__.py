"""Engine adapters by name.

An engine is named by a key of :data:`ENGINES` or :data:`HOSTED_ENGINES`, by an entry point of the group
:data:`GROUP` that an installed package declares, or as ``module:Class`` for adapters that live elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.metadata

from jsonschemabench.engines.base import (
    Adapter,
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
    "GROUP",
    "HOSTED_ENGINES",
    "LARK_ENGINES",
    "Adapter",
    "CompileError",
    "Engine",
    "EngineUnavailableError",
    "SchemaInput",
    "UnsatisfiableError",
    "engine_class",
    "names",
]

GROUP = "structgen.bench_engines"
"""The entry points by which packages add adapters, such as ``mine = "my_package.bench:MyEngine"``."""

ENGINES: dict[str, str] = {
    "structgen": "jsonschemabench.engines.structgen:StructgenEngine",
    "structgen_any_order": "jsonschemabench.engines.structgen:StructgenAnyOrderEngine",
    "llguidance": "jsonschemabench.engines.llguidance:LLGuidanceEngine",
    "xgrammar": "jsonschemabench.engines.xgrammar:XGrammarEngine",
    "xgrammar_default": "jsonschemabench.engines.xgrammar:XGrammarDefaultEngine",
    "outlines_core": "jsonschemabench.engines.outlines_core:OutlinesCoreEngine",
    "lm_format_enforcer": "jsonschemabench.engines.lm_format_enforcer:LMFormatEnforcerEngine",
    "llama_cpp": "jsonschemabench.engines.llama_cpp:LlamaCppEngine",
}
"""Adapters by the name that ``--engines`` takes; none is imported before it is used."""

HOSTED_ENGINES: dict[str, str] = {
    "openai": "jsonschemabench.engines.hosted:OpenAIEngine",
    "openai_strict": "jsonschemabench.engines.hosted:OpenAIStrictEngine",
    "gemini": "jsonschemabench.engines.hosted:GeminiEngine",
}
"""Adapters of models behind HTTP, which have no masks."""

LARK_ENGINES: dict[str, str] = {
    "structgen_lark": "jsonschemabench.engines.lark:StructgenLarkEngine",
    "llguidance_lark": "jsonschemabench.engines.lark:LLGuidanceLarkEngine",
}
"""Adapters that read Lark grammars in place of schemas."""

DEFAULT_ENGINES = ("structgen", "llguidance", "xgrammar", "outlines_core", "lm_format_enforcer")
"""What runs when no engine is named: each project once."""

ANY_ORDER = {"structgen": "structgen_any_order"}
"""The adapters that let keys come in any order, by the name of the adapter that does not."""


def names() -> list[str]:
    """Return the names of all adapters that read schemas, those of other packages last."""
    added = [point.name for point in importlib.metadata.entry_points(group=GROUP)]
    return list(dict.fromkeys([*ENGINES, *HOSTED_ENGINES, *sorted(added)]))


def engine_class(name: str) -> type[Adapter]:
    """Import an adapter class.

    Parameters
    ----------
    name
        A key of :data:`ENGINES`, :data:`HOSTED_ENGINES` or :data:`LARK_ENGINES`, an entry point of the group
        :data:`GROUP`, or ``module:Class``. Names of this package can't be taken by others.

    Raises
    ------
    EngineUnavailableError
        If there is no such adapter.
    """
    place = (ENGINES | HOSTED_ENGINES | LARK_ENGINES).get(name, name)
    if ":" not in place:
        points = importlib.metadata.entry_points(group=GROUP, name=name)
        if len(points) > 1:
            places = ", ".join(point.value for point in points)
            raise EngineUnavailableError(
                f"several packages have an engine {name!r} ({places}): name a module:Class"
            )
        place = next((point.value for point in points), "")
    module_name, _, class_name = place.partition(":")
    if not class_name:
        known = ", ".join(names())
        raise EngineUnavailableError(f"no engine {name!r}; there are {known}, or name one as module:Class")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise EngineUnavailableError(f"engine {name!r} can't be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise EngineUnavailableError(f"{name!r} is not a subclass of jsonschemabench.engines.Adapter")
    return found
