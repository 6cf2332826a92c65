"""The command line: ``structgen COMMAND``.

Commands live in modules of their own and are imported when they are called, so that ``structgen --help`` and
shell completion are quick and ``structgen validate`` needs nothing of a model.

A command ends with ``ctx.exit(code)`` or returns the code; :mod:`structgen.cli._common` has the codes.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import structgen
from structgen.cli._common import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_UNUSABLE

__all__ = ["cli", "main"]

_COMMANDS: dict[str, str] = {
    "validate": "structgen.cli._validate:validate",
    "check": "structgen.cli._check:check",
    "sample": "structgen.cli._sample:sample",
    "generate": "structgen.cli._generate:generate",
    "show": "structgen.cli._show:show",
    "bench": "structgen.cli._bench:bench",
}
"""Commands as ``module:attribute``, in the order of ``--help``."""


# What writing raises where a disk is full, in the one way or another, or broken.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _leave_pipe(code: int = EXIT_BROKEN_PIPE) -> NoReturn:
    """End because whoever read our output has left (``structgen ... | head``), or nothing takes it."""
    # What is still buffered has nowhere to go, and the interpreter would complain of it at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


class _LazyGroup(click.Group):
    """A group whose commands are imported on demand, and whose exit codes are ours."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Here, since click's own handler would end with 1.
            _leave_pipe()

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command as click does, but leave 1 for "not valid": click aborts with it on Ctrl-C."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Whatever the locale can encode, an é of a document must not end the command.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("structgen: interrupted", err=True)
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            _leave_pipe()
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            click.echo(f"structgen: the output cannot be written: {error.strerror}", err=True)
            _leave_pipe(EXIT_UNUSABLE)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(structgen.__version__)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Structured generation: texts that conform to a JSON Schema, a Lark grammar or a regular expression."""
    # Click colours only what goes to a terminal; NO_COLOR (https://no-color.org) turns that off too.
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Entry point of the ``structgen`` command."""
    # The library jsonschema imports it where it is installed, which takes a second, for a format that it
    # would check. We check formats ourselves.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # An exception, so that temporary files are removed.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_TERMINATED))
    cli(prog_name="structgen")
