"""``structgen bench``: the benchmark module."""

from __future__ import annotations

import click

from structgen.cli._common import EXIT_UNUSABLE


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> int:
    """Benchmarks of engines and samplers: the same as `python -m jsonschemabench`.

    All arguments go there; `structgen bench --help` lists its commands.
    """
    try:
        from jsonschemabench.cli import main
    except ModuleNotFoundError as error:
        # A module of our own that is missing is a bug, not an extra.
        if (error.name or "").partition(".")[0] in ("structgen", "jsonschemabench"):
            raise
        click.echo(
            f"structgen: the benchmarks need {error.name}; install them with pip install 'structgen[bench]'",
            err=True,
        )
        return EXIT_UNUSABLE
    return main(list(arguments))
