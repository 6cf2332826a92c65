"""``structgen sample``."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import click

from structgen.cli._common import UnusableInputError, atomic_output
from structgen.cli._constraints import ARGUMENT_HELP, Kind, constraint_options, load, refusals

_EPILOG = """\b
Examples:
  structgen sample schema.json -n 5
  structgen sample schema.json -n 1000 --seed 1 --max-bytes 500 -o fixtures.jsonl
  structgen sample schema.json --pretty
  structgen sample grammars:sql -n 3 --json
  structgen sample 'regex:[A-Z]{2}-[0-9]+' --method uniform --max-bytes 6

The exit status is 0, or 2 if X cannot be used.
"""

# A JSON text, lexeme by lexeme.
_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


@click.command(
    epilog=_EPILOG, help=f"Random texts that X allows, without a language model.\n\n{ARGUMENT_HELP}"
)
@click.argument("constraint", metavar="X")
@click.option("-n", "--count", type=click.IntRange(0), default=1, show_default=True, help="How many texts.")
@click.option("--seed", type=int, help="Makes the texts reproducible.")
@click.option(
    "--max-bytes",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="The longest text, in bytes.",
)
@click.option(
    "--method",
    type=click.Choice(["varied", "uniform"]),
    default="varied",
    show_default=True,
    help="varied: words, short numbers, declared keys. uniform: all texts of at most --max-bytes have the "
    "same chance; for small languages or sizes.",
)
@click.option("--pretty", is_flag=True, help="Indent JSON; one text then takes many lines.")
@click.option("--json", "as_json", is_flag=True, help="Write each text as a JSON string, on one line.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of the standard output.")
@constraint_options
def sample(
    constraint: str,
    count: int,
    seed: int | None,
    max_bytes: int,
    method: Literal["varied", "uniform"],
    pretty: bool,
    as_json: bool,
    output: str | None,
    kind: Kind | None,
    compile_options: dict[str, Any],
) -> int:
    """Run ``structgen sample``."""
    if pretty and as_json:
        raise click.UsageError("--pretty and --json exclude each other")
    loaded = load(constraint, kind, compile_options)
    if pretty and loaded.kind != "schema":
        raise click.UsageError(f"--pretty indents JSON, and {loaded.name} is a {loaded.kind}")
    import random

    from structgen._random_text import random_texts
    from structgen._vocabulary import Vocabulary

    with refusals(loaded.name):
        automaton = loaded.compile(Vocabulary.of_bytes(), whitespace="compact")
    # One text at a time, so that the first are there at once and nothing is kept.
    seeds = random.Random(seed)
    has_breaks = False
    with atomic_output(output) as stream:
        done = 0
        while done < count:
            # Uniform texts are counted once for all.
            batch = count if method == "uniform" else 1
            try:
                with refusals(loaded.name):
                    texts = random_texts(
                        automaton, batch, seed=seeds.getrandbits(64), max_bytes=max_bytes, method=method
                    )
            except ValueError as error:
                raise UnusableInputError(loaded.name, str(error), "raise --max-bytes") from None
            for text in texts:
                has_breaks = has_breaks or "\n" in text
                stream.write(_shown(text, pretty, as_json) + "\n")
            done += batch
    if has_breaks and count > 1 and not as_json and loaded.kind != "schema":
        click.echo("note: some texts have line breaks; --json writes each on one line", err=True)
    return 0


def _shown(text: str, pretty: bool, as_json: bool) -> str:
    if as_json:
        return json.dumps(text, ensure_ascii=False)
    return indented(text) if pretty else text


def indented(text: str) -> str:
    """Return a JSON text with indentation, all numbers and strings spelt as they were."""
    out: list[str] = []
    depth = 0
    previous = ""
    for lexeme in _LEXEME.findall(text):
        if lexeme in "]}":
            depth -= 1
            if previous not in ("[", "{"):
                out.append("\n" + "  " * depth)
        elif previous in ("[", "{", ","):
            out.append("\n" + "  " * depth)
        elif previous == ":":
            out.append(" ")
        out.append(lexeme)
        depth += lexeme in ("[", "{")
        previous = lexeme
    return "".join(out)
