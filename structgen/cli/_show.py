"""``structgen show``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from structgen.cli._common import EXIT_PROBLEMS, UnusableInputError, atomic_output, printable
from structgen.cli._constraints import ARGUMENT_HELP, Constraint, Kind, constraint_options, load, refusals
from structgen.cli._inspect import Inspector, Refusal, Situation
from structgen.cli._vocabularies import HELP as VOCABULARY_HELP
from structgen.cli._vocabularies import load_vocabulary

if TYPE_CHECKING:
    from structgen.cli._models import Likely

_EPILOG = """\b
Examples:
  structgen show schema.json --text '{"name": "a'
  structgen show schema.json --text '{"age": ' --token true
  structgen show grammars:sql --text 'SELECT a FROM' --vocabulary tiny
  structgen show schema.json --model tiny --prompt 'An invoice as JSON: '
  structgen show schema.json --html steps.html
  structgen show 'regex:(ab)*c' --svg automaton.svg

The exit status is 0, 1 if the text or the token is refused, 2 if an input cannot be used.
"""

# Groups of tokens that are written as text.
_MAX_GROUPS = 15


@click.command(
    epilog=_EPILOG,
    short_help="What X allows after a beginning of a text, and why it refuses a token.",
    help="What X allows after a beginning of a text: tokens, what is open, what is forced; and why a token "
    "is refused. Also the automaton as a graph, and a page to go through a text token by token.\n\n"
    + ARGUMENT_HELP,
)
@click.argument("constraint", metavar="X")
@click.option(
    "--text",
    metavar="PREFIX",
    help="The beginning of a text.  [default: nothing; with --html, a random text]",
)
@click.option(
    "--token",
    "tokens",
    multiple=True,
    metavar="TOKEN",
    help="Why this token may not follow: its text, or # and its id. May be repeated.",
)
@click.option(
    "--model",
    "model_name",
    metavar="MODEL",
    help="Also what this model would say next, allowed or not: tiny, or the folder or name of a causal model "
    "of transformers. The vocabulary is the model's.",
)
@click.option("--prompt", default="", help="What the model reads in front of the text.")
@click.option("--vocabulary", default="auto", show_default=True, metavar="NAME", help=VOCABULARY_HELP)
@click.option(
    "--format", "report_format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--html", metavar="FILE", help="Write a page to go through the text token by token. It needs no network."
)
@click.option(
    "--dot", "dot_file", metavar="FILE", help="Write the automaton over bytes as a graph for Graphviz."
)
@click.option("--svg", "svg_file", metavar="FILE", help="Write it as a picture; that needs Graphviz.")
@click.option(
    "--max-states",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="The most states that are drawn.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random text.")
@constraint_options
def show(
    constraint: str,
    text: str | None,
    tokens: tuple[str, ...],
    model_name: str | None,
    prompt: str,
    vocabulary: str,
    report_format: str,
    html: str | None,
    dot_file: str | None,
    svg_file: str | None,
    max_states: int,
    seed: int,
    kind: Kind | None,
    compile_options: dict[str, Any],
) -> int:
    """Run ``structgen show``."""
    loaded = load(constraint, kind, compile_options)
    if dot_file is not None or svg_file is not None:
        _draw(loaded, dot_file, svg_file, max_states)
    if html is None and text is None and not tokens and (dot_file or svg_file):
        return 0
    model = tokenizer = None
    with refusals(loaded.name):
        if model_name is None:
            named = load_vocabulary(vocabulary)
        else:
            from structgen.cli._models import load_model, named_vocabulary

            model, tokenizer = load_model(model_name)
            named = named_vocabulary(model_name, model, tokenizer)
        inspector = Inspector(loaded, named)
    if html is not None:
        from structgen.cli._show_html import page

        document = page(inspector, loaded.name, _random_text(loaded, seed) if text is None else text)
        with atomic_output(html) as stream:
            stream.write(document)
        if text is None and not tokens:
            return 0
    situation = inspector.situation(text or "")
    refused: list[Refusal] = []
    likely: tuple[float, list[Likely]] | None = None
    if situation.alive:
        if model is not None:
            from structgen.cli._models import likely_tokens

            with refusals(loaded.name):
                likely = likely_tokens(model, tokenizer, inspector, prompt, situation.text)
        try:
            refused = [inspector.refusal(situation.text, token) for token in tokens]
        except ValueError as error:
            raise UnusableInputError("--token", str(error)) from None
    if report_format == "json":
        record = asdict(situation) | {"tokens": [asdict(one) for one in refused]}
        if likely is not None:
            record |= {"allowed_probability": likely[0], "likely": [asdict(one) for one in likely[1]]}
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        for line in _lines(situation, refused, likely, inspector.named.label):
            click.echo(line)
    return 0 if situation.alive and all(one.allowed for one in refused) else EXIT_PROBLEMS


def _draw(constraint: Constraint, dot_file: str | None, svg_file: str | None, max_states: int) -> None:
    from structgen._vocabulary import Vocabulary
    from structgen.cli._show_graph import dot, svg

    with refusals(constraint.name):
        automaton = constraint.compile(Vocabulary.of_bytes(), whitespace="compact")
    source = dot(automaton.session(), constraint.name, max_states)
    if dot_file is not None:
        with atomic_output(dot_file) as stream:
            stream.write(source)
    if svg_file is not None:
        picture = svg(source)
        with atomic_output(svg_file) as stream:
            stream.write(picture)


def _random_text(constraint: Constraint, seed: int) -> str:
    from structgen._random_text import random_texts
    from structgen._vocabulary import Vocabulary

    with refusals(constraint.name):
        automaton = constraint.compile(Vocabulary.of_bytes(), whitespace="compact")
        shortest = len(automaton.shortest(automaton.start))
        return random_texts(automaton, 1, seed=seed, max_bytes=max(300, 2 * shortest))[0]


def _lines(
    situation: Situation, refused: list[Refusal], likely: tuple[float, list[Likely]] | None, label: str
) -> Iterator[str]:
    if not situation.alive:
        data = situation.text.encode("utf-8", "surrogateescape")
        good = data[: situation.good_bytes].decode("utf-8", "backslashreplace")
        rest = data[situation.good_bytes :].decode("utf-8", "backslashreplace")
        yield click.style("refused", fg="red") + f" after {situation.good_bytes} bytes"
        before, after = printable(good[-60:]).replace("\n", "\\n"), printable(rest[:20]).replace("\n", "\\n")
        yield f"  {before}{after}"
        yield "  " + " " * len(before) + "^"
        yield f"  expected: {situation.expected}"
        if situation.note:
            yield f"  note:     {situation.note}"
        return
    yield f"after {json.dumps(situation.text, ensure_ascii=False)}" if situation.text else "at the beginning"
    if situation.place is not None:
        yield f"  place:    {situation.place or '(root)'}"
    if situation.stack:
        yield f"  open:     {printable(' > '.join(situation.stack))}"
    yield f"  may end:  {'yes' if situation.may_end else 'no'}"
    if situation.forced:
        yield f'  forced:   "{situation.forced}"'
    if situation.shortest:
        yield f'  shortest: "{situation.shortest}"'
    yield f"  expected: {situation.expected}"
    share = situation.allowed / situation.vocabulary if situation.vocabulary else 0
    yield f"  allowed:  {situation.allowed:,} tokens, {share:.1%} of {label}"
    width = max((len(group.name) for group in situation.groups[:_MAX_GROUPS]), default=0)
    for group in situation.groups[:_MAX_GROUPS]:
        examples = "  ".join(f'"{example}"' for example in group.examples)
        yield f"    {group.share:6.1%}  {group.count:7,}  {group.name.ljust(width)}  {examples}"
    if len(situation.groups) > _MAX_GROUPS:
        yield f"    and {len(situation.groups) - _MAX_GROUPS} more groups"
    if situation.note:
        yield f"  note:     {situation.note}"
    if likely is not None:
        yield f"  model:    {likely[0]:.1%} of its probability is on what is allowed"
        for token in likely[1]:
            kept = "refused" if token.reason else f"{token.share:7.1%}"
            yield f'    {token.probability:6.1%}  {kept}  "{token.token}"'
    for one in refused:
        word = click.style("allowed", fg="green") if one.allowed else click.style("refused", fg="red")
        yield f"  {word}: {one.reason}"
