"""Constraints as the commands take them: a schema, a grammar or a pattern."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from structgen._errors import GuardDeadEnd, StructgenError
from structgen.cli._common import STDIN, UnusableInputError, display_name, read_schema, read_text

if TYPE_CHECKING:
    from structgen._core import TokenAutomaton
    from structgen._vocabulary import Vocabulary

Kind = Literal["schema", "lark", "gbnf", "regex"]

KINDS: tuple[Kind, ...] = ("schema", "lark", "gbnf", "regex")

# Options that say where a language begins, by kind.
_START = {"lark": "start", "gbnf": "root"}

_F = TypeVar("_F", bound=Callable[..., Any])

ARGUMENT_HELP = (
    "X is a JSON Schema (.json, .yaml, .toml, or its JSON text), a Lark grammar (.lark, or grammars:NAME for "
    "one of the package), a GBNF grammar (.gbnf) or regex:PATTERN; - is the standard input, a schema unless "
    "--kind says otherwise."
)


@dataclass(frozen=True)
class Constraint:
    """A schema, grammar or pattern, read but not compiled.

    Attributes
    ----------
    name : str
        What messages call it.
    kind : {"schema", "lark", "gbnf", "regex"}
        What it is.
    source : Any
        A schema as its JSON text or as its value; the text of a grammar (for Lark: its path, or
        ``grammars:NAME``); a pattern.
    options : mapping
        Arguments by name for the function that compiles it.
    """

    name: str
    kind: Kind
    source: Any
    options: Mapping[str, Any]

    def compile(self, vocabulary: Vocabulary, **defaults: Any) -> TokenAutomaton:
        """Compile it; `defaults` are options of JSON Schemas that its own options override.

        Raises
        ------
        StructgenError
            It is refused.
        UnusableInputError
            An option has no such value.
        """
        options = {**defaults, **self.options} if self.kind == "schema" else dict(self.options)
        try:
            return _compiler(self.kind)(self.source, vocabulary, **options)
        except (ValueError, TypeError) as error:
            raise UnusableInputError(self.name, str(error)) from None

    def schema(self) -> Any:
        """Return the value of a schema."""
        return json.loads(self.source) if isinstance(self.source, str) else self.source

    def text(self) -> str:
        """Return the text of a grammar or pattern."""
        if self.kind != "lark":
            return str(self.source)
        from structgen._grammars import load_grammar

        if isinstance(self.source, Path):
            return read_text(str(self.source))
        name = self.source.removeprefix("grammars:")
        return self.source if name == self.source else load_grammar(name)


def load(argument: str, kind: Kind | None = None, options: Mapping[str, Any] | None = None) -> Constraint:
    """Read a constraint.

    Parameters
    ----------
    argument : str
        A path; ``-``; ``grammars:NAME``; ``regex:PATTERN``; or the JSON text of a schema that is an object.
    kind : {"schema", "lark", "gbnf", "regex"}, optional
        What it is, where the argument does not tell. With ``"regex"``, the argument is the pattern.
    options : mapping, optional
        Arguments by name for the function that compiles it.

    Raises
    ------
    UnusableInputError
        It cannot be read, is not JSON (YAML, TOML), or there is no such option.
    """
    kind = kind or _kind(argument)
    options = dict(options or {})
    if "start" in options and kind in _START:
        options[_START[kind]] = options.pop("start")
    name = display_name(argument)
    _check_options(name, kind, options)
    source: Any
    if kind == "regex":
        source = argument.removeprefix("regex:")
    elif kind == "schema":
        name, source = _schema(argument)
    elif kind == "lark" and argument.startswith("grammars:"):
        source = argument
    else:
        # Read here, so that a missing file is told as for all commands.
        source = read_text(argument)
        if kind == "lark" and argument != STDIN:
            # The compiler reads it once more: imports are looked for beside it.
            source = Path(argument)
    return Constraint(name, kind, source, options)


def _kind(argument: str) -> Kind:
    if argument.startswith("regex:"):
        return "regex"
    if argument.startswith("grammars:"):
        return "lark"
    suffix = Path(argument).suffix.lower()
    if suffix in (".lark", ".gbnf"):
        return "lark" if suffix == ".lark" else "gbnf"
    if argument == STDIN or argument.lstrip()[:1] == "{" or suffix in (".json", ".yaml", ".yml", ".toml"):
        return "schema"
    raise UnusableInputError(
        argument,
        "does not tell what it is",
        "name a file *.json, *.yaml, *.toml, *.lark or *.gbnf, or write grammars:NAME or regex:PATTERN, or "
        f"say --kind {'|'.join(KINDS)}",
    )


def _schema(argument: str) -> tuple[str, Any]:
    """Return the name and the source of a schema: JSON as text, so that its numbers stay exact."""
    if argument.lstrip()[:1] == "{":
        name, text = "<argument>", argument
    elif Path(argument).suffix.lower() in (".yaml", ".yml", ".toml"):
        return argument, read_schema(argument)
    else:
        name, text = display_name(argument), read_text(argument)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise UnusableInputError(
            f"{name}:{error.lineno}:{error.colno}", f"is not JSON ({error.msg})"
        ) from None
    except RecursionError:
        raise UnusableInputError(name, "is nested too deeply") from None
    return name, text


def _compiler(kind: Kind) -> Callable[..., TokenAutomaton]:
    import structgen

    compilers: dict[Kind, Callable[..., TokenAutomaton]] = {
        "schema": structgen.compile_json_schema,
        "lark": structgen.compile_lark,
        "gbnf": structgen.compile_gbnf,
        "regex": structgen.compile_regex,
    }
    return compilers[kind]


def _check_options(name: str, kind: Kind, options: Mapping[str, Any]) -> None:
    known = [p.name for p in inspect.signature(_compiler(kind)).parameters.values()][2:]
    for option in options:
        if option not in known:
            raise UnusableInputError(
                name, f"compiling a {kind} has no option {option!r}", f"there are {', '.join(known)}"
            )


def constraint_options(command: _F) -> _F:
    """Add the options of a command that takes constraints: ``kind`` and ``compile_options``."""
    command = click.option(
        "-O",
        "--option",
        "compile_options",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parse_options,
        help="An option of the compilation, such as whitespace=compact, start=expr or parser=earley. May be "
        "repeated.",
    )(command)
    return click.option(
        "--kind", type=click.Choice(list(KINDS)), help="What X is, where its name does not tell."
    )(command)


def _parse_options(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} has no '=': write NAME=VALUE", ctx, parameter)
        try:
            options[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            options[name.replace("-", "_")] = value
    return options


@contextlib.contextmanager
def refusals(name: str) -> Iterator[None]:
    """Turn what structgen raises on purpose into the end of the command.

    Raises
    ------
    UnusableInputError
        For a `StructgenError`.
    """
    try:
        yield
    except GuardDeadEnd as error:
        raise UnusableInputError(name, str(error), "another --seed may do") from None
    except StructgenError as error:
        raise UnusableInputError(name, str(error)) from None
