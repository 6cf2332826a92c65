"""Finite automata as tables that live on a device: masks and steps without the host."""

import typing as _typing

from structgen.frozen._tables import (
    DENSE_BYTES,
    MAX_BYTES,
    MAX_SECONDS,
    MAX_STATES,
    FrozenTables,
    freeze_tables,
)

if _typing.TYPE_CHECKING:
    from structgen.frozen._device import DeviceAutomaton, freeze

__all__ = [
    "DENSE_BYTES",
    "MAX_BYTES",
    "MAX_SECONDS",
    "MAX_STATES",
    "DeviceAutomaton",
    "FrozenTables",
    "freeze",
    "freeze_tables",
]


def __getattr__(name: str) -> _typing.Any:
    # The tables need no PyTorch.
    if name in {"DeviceAutomaton", "freeze"}:
        from structgen.frozen import _device

        return globals().setdefault(name, getattr(_device, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
