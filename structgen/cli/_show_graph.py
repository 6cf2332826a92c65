"""The automaton of a constraint over bytes as a graph, for Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from structgen._core import DEAD
from structgen._errors import GuardDeadEnd
from structgen.cli._common import UnusableInputError
from structgen.cli._inspect import described

if TYPE_CHECKING:
    from structgen._core import Session

_SECONDS = 60


def dot(automaton: Session, name: str, max_states: int) -> str:
    """Return the reachable states and their transitions in the language of Graphviz.

    Parameters
    ----------
    automaton : Session
        Over single bytes: token ``b`` is the byte ``b``.
    name : str
        What messages call it.
    max_states : int
        The most states that are drawn.

    Raises
    ------
    UnusableInputError
        There are more states.
    """
    numbers = {automaton.start: 0}
    waiting = [automaton.start]
    nodes, edges = [], []
    while waiting:
        state = waiting.pop(0)
        targets: dict[int, list[int]] = {}
        try:
            for byte in range(256):
                following = automaton.step(state, byte)
                if following != DEAD:
                    targets.setdefault(following, []).append(byte)
            shape = "doublecircle" if automaton.accepts(state) else "circle"
        except GuardDeadEnd:
            shape = "octagon"
        nodes.append(f'  s{numbers[state]} [shape={shape}, label="{numbers[state]}"];')
        for following, data in targets.items():
            if following not in numbers:
                if len(numbers) == max_states:
                    raise UnusableInputError(
                        name,
                        f"has more than {max_states} states over bytes, too many to draw",
                        "raise --max-states, or look at it with --text or --html",
                    )
                numbers[following] = len(numbers)
                waiting.append(following)
            label = _escaped(described(data))
            edges.append(f'  s{numbers[state]} -> s{numbers[following]} [label="{label}"];')
    head = ["digraph automaton {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    head += ['  edge [fontname="monospace", fontsize=10];', "  begin [shape=point];", "  begin -> s0;"]
    return "\n".join([*head, *nodes, *edges, "}", ""])


def svg(source: str) -> str:
    """Let Graphviz draw a graph.

    Raises
    ------
    UnusableInputError
        Graphviz is not installed, or it fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise UnusableInputError(
            "--svg", "needs the program dot of Graphviz", "install it, or write the graph with --dot"
        )
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=source.encode(), capture_output=True, check=True, timeout=_SECONDS
        )
    except subprocess.CalledProcessError as error:
        raise UnusableInputError(
            "--svg", f"dot failed ({error.stderr.decode(errors='replace').strip()})"
        ) from None
    except subprocess.TimeoutExpired:
        raise UnusableInputError(
            "--svg", f"dot took more than {_SECONDS} s", "draw fewer states, with --max-states"
        ) from None
    return done.stdout.decode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
