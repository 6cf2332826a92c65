"""The schemas of the demo, and texts that a small model writes under them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschemabench.datasets import DatasetError

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo" / "schemas"


def load(folder: Path | None = None) -> dict[str, Any]:
    """Return the schemas of a folder by their names, in alphabetical order.

    Parameters
    ----------
    folder
        Of JSON files; the demo's by default.

    Raises
    ------
    DatasetError
        There is no schema.
    """
    paths = sorted((folder or DEMO).glob("*.json"))
    if not paths:
        raise DatasetError(
            f"no schema (*.json) in {folder or DEMO}: run in a checkout, or name a folder with --schemas"
        )
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def prompt_of(name: str, schema: Any) -> str:
    """Return what the model is asked for."""
    title = schema.get("title", name) if isinstance(schema, dict) else name
    return f"{title} as JSON:\n"


def write(schemas: dict[str, Any], count: int, max_tokens: int, seed: int) -> dict[str, list[str]]:
    """Return beginnings of valid texts that the repository's tiny model writes under each schema.

    Parameters
    ----------
    schemas
        By name.
    count
        Texts for each.
    max_tokens
        Of the tiny model; longer texts break off there.
    seed
        Of the sampling.
    """
    import structgen
    from structgen.samplers import LocallyConstrained
    from structgen.testing import tiny_model

    model, tokenizer = tiny_model.load()
    found = {}
    for name, schema in schemas.items():
        options: dict[str, Any] = {"max_tokens": max_tokens, "seed": seed, "progress": False, "parse": str}
        sampler = LocallyConstrained(count)
        try:
            result: Any = structgen.generate(
                model, tokenizer, prompt_of(name, schema), schema, sampler, **options
            )
        except structgen.AllParticlesDeadError as error:
            # None has ended, and all are beginnings.
            result = error.result
        # A text may break off within a character.
        found[name] = [sequence.text.rstrip("\N{REPLACEMENT CHARACTER}") for sequence in result.sequences]
    return found
