"""The command line: ``structgen COMMAND``.

Commands live in modules of their own and are imported when they are called, so that ``structgen --help`` and
shell completion are quick and ``structgen validate`` needs nothing of a model.
"""

from __future__ import annotations

import importlib

import click

import structgen

__all__ = ["cli", "main"]

_COMMANDS: dict[str, str] = {}
"""Commands as ``module:attribute``, in the order of ``--help``."""


class _LazyGroup(click.Group):
    """A group whose commands are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(structgen.__version__)
def cli() -> None:
    """Structured generation: texts that conform to a JSON Schema, a Lark grammar or a regular expression."""


def main() -> None:
    """Entry point of the ``structgen`` command."""
    cli(prog_name="structgen")
