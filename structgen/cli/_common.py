"""What the commands share: exit codes, reading inputs, writing files."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

EXIT_OK = 0
EXIT_PROBLEMS = 1
"""The inputs could be read, and something about them is not as it should be."""
EXIT_UNUSABLE = 2
"""An input (or the command line itself) could not be used."""
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_TERMINATED = 143
"""As shells report the signals SIGINT, SIGPIPE and SIGTERM."""

STDIN = "-"
MAX_BYTES = 256 << 20
"""The longest input that is read into memory as a whole, by default."""


class UnusableInputError(click.ClickException):
    """An input that cannot be used; ends the command with :data:`EXIT_UNUSABLE`.

    Parameters
    ----------
    file : str
        The file, as messages call it.
    reason : str
        What is wrong, without a full stop.
    hint : str, optional
        What to do about it.
    line, column : int, optional
        Where, from 1; columns count code points.
    """

    exit_code = EXIT_UNUSABLE

    def __init__(
        self,
        file: str,
        reason: str,
        hint: str | None = None,
        *,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.file = file
        self.reason = reason
        self.hint = hint
        self.line = line
        self.column = column
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {reason}" + (f"; {hint}" if hint else ""))

    def show(self, file: IO[Any] | None = None) -> None:
        label = click.style("error: ", fg="red", bold=True)
        click.echo(label + printable(self.message), file=file, err=file is None)


def display_name(path: str) -> str:
    """Return what messages call an input."""
    return "<stdin>" if path == STDIN else path


@contextlib.contextmanager
def open_input(path: str) -> Iterator[IO[bytes]]:
    """Open an input, ``-`` for the standard input.

    Raises
    ------
    UnusableInputError
        If there is no such file, or it is a directory, or may not be read.
    """
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        if os.path.isdir(path):
            raise UnusableInputError(path, "is a directory", "name the files in it, such as DIR/*.json")
        stream = open(path, "rb")  # noqa: SIM115 - closed below; only opening it is guarded
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    with stream:
        try:
            yield stream
        except OSError as error:
            # Reading fails, too: files of /proc, broken disks.
            if isinstance(error, BrokenPipeError):
                raise
            raise _unreadable(path, error) from None


def _unreadable(path: str, error: OSError | ValueError) -> UnusableInputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UnusableInputError(
        display_name(path), reason[:1].lower() + reason[1:], "check the name and its rights"
    )


def read_bytes(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read an input as a whole.

    Raises
    ------
    UnusableInputError
        As :func:`open_input`, or if it is longer than `max_bytes`; no more than that is ever read.
    """
    with open_input(path) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UnusableInputError(display_name(path), f"is longer than {max_bytes:,} bytes")
    return data


def decode(data: bytes, name: str, first_line: int = 1) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises
    ------
    UnusableInputError
        If it is anything else; with line and column.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise UnusableInputError(
                name, "is UTF-16, not UTF-8", "convert it with `iconv -f UTF-16 -t UTF-8`"
            ) from None
        before = data[: error.start]
        line = first_line + before.count(b"\n")
        # All before the byte at fault is valid.
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        raise UnusableInputError(
            name,
            f"is not UTF-8 (byte 0x{data[error.start]:02x})",
            "convert it, for example with `iconv -f ISO-8859-1 -t UTF-8`",
            line=line,
            column=column,
        ) from None


def read_text(path: str, max_bytes: int = MAX_BYTES) -> str:
    """Read an input as UTF-8 text; errors as :func:`read_bytes` and :func:`decode`."""
    return decode(read_bytes(path, max_bytes), display_name(path))


@contextlib.contextmanager
def atomic_output(path: str | None) -> Iterator[IO[str]]:
    """Open an output: the standard output for None and ``-``, else a file that appears when it is complete.

    An exception, Ctrl-C among them, leaves the file as it was.

    Raises
    ------
    UnusableInputError
        If the file cannot be written.
    """
    if path is None or path == STDIN:
        yield sys.stdout
        return
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UnusableInputError(
            path, f"cannot be written ({error.strerror})", "choose another place"
        ) from None
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
        # mkstemp makes files that only the owner may read.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as error:
        raise UnusableInputError(
            path, f"cannot be written ({error.strerror})", "choose another place"
        ) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def printable(text: str) -> str:
    """Escape what a terminal would act upon, and surrogates, which cannot be encoded."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


def read_schema(path: str) -> Any:
    """Read a JSON Schema: JSON, or YAML or TOML by the suffix of the file.

    Returns
    -------
    Any
        Its value; numbers that are no integer literals are decimals, as they were written.

    Raises
    ------
    UnusableInputError
        If it cannot be read or parsed; with the place.
    """
    # Imported late: it needs this module, and few commands need it.
    from structgen.cli._documents import read_schema_document

    return read_schema_document(path).value
