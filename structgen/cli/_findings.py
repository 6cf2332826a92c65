"""What ``structgen check`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes
    ----------
    level : {"error", "warning", "note"}
        ``"error"``: it can't be used. ``"warning"``: surely not meant like that. ``"note"``: good to know.
    place : str
        JSON Pointer in a schema, ``line:column`` in a grammar; empty for the whole.
    message : str
        What is the matter.
    hint : str or None
        What to do about it.
    """

    level: Level
    place: str
    message: str
    hint: str | None = None
