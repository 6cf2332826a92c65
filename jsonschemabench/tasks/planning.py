"""Goals of planning problems in PDDL, from a description in words."""

from __future__ import annotations

import itertools
import random
import re
from typing import TYPE_CHECKING

from jsonschemabench.tasks.base import Domain, Task

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

Atom = tuple[str, ...]

#: predicates of the two worlds with the kinds of their arguments
_WORLDS: dict[str, dict[str, tuple[str, ...]]] = {
    "blocks": {"on": ("block", "block"), "on-table": ("block",), "clear": ("block",)},
    "gripper": {"at": ("ball", "room"), "at-robby": ("room",), "carry": ("ball", "gripper")},
}
_ROOMS = ("hall", "attic", "cellar", "lobby", "studio", "garage", "kitchen", "office")
_LEXEME = re.compile(r"[()]|[^\s()]+")


class Planning(Domain):
    """Goals as PDDL's grammar has them; the predicate is that they are conjunctions of atoms that can hold.

    A goal is refused as soon as it names an object that the problem does not declare, uses a predicate
    with the wrong number or kinds of arguments, or asks for atoms that exclude each other (a block on two
    others, a ball in two rooms).
    """

    name = "planning"
    max_tokens = 72

    def make(self, rng: random.Random) -> Task:
        """Return a goal of one of the two worlds, in words."""
        return _blocks(rng) if rng.random() < 0.5 else _gripper(rng)

    def constraint(self, task: Task, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the automaton of goals."""
        import structgen

        return structgen.compile_lark("grammars:pddl", vocabulary, start="goal")

    def possible(self, task: Task, text: str) -> bool:
        """Return whether the goal may still become one of the problem's."""
        return _read(task, text, finished=False)

    def permitted(self, task: Task, text: str) -> bool:
        """Return whether it is a goal of the problem."""
        return _read(task, text, finished=True)

    def correct(self, task: Task, text: str) -> bool:
        """Return whether it asks for the same atoms as the reference, in any order."""
        found = atoms_of(text)
        return found is not None and found == atoms_of(task.reference)


def _blocks(rng: random.Random) -> Task:
    names = [f"{letter}{rng.randint(1, 9)}" for letter in rng.sample("bckmptw", 5)]
    rng.shuffle(names)
    chosen = names[: rng.randint(2, 4)]
    kind = rng.randrange(3)
    if kind == 0:
        atoms: list[Atom] = [("on", a, b) for a, b in itertools.pairwise(chosen)]
        atoms += [("on-table", chosen[-1])]
        words = f"one tower, from top to bottom {' '.join(chosen)}"
    elif kind == 1:
        atoms = [("on-table", name) for name in chosen]
        words = f"on the table: {' '.join(chosen)}"
    else:
        atoms = [("on", chosen[0], chosen[1]), ("clear", chosen[0])]
        words = f"{chosen[0]} on {chosen[1]}, nothing on {chosen[0]}"
        if len(chosen) > 2:
            atoms.append(("on-table", chosen[2]))
            words += f", {chosen[2]} on the table"
    return _task("blocks", {"block": sorted(names)}, words, atoms)


def _gripper(rng: random.Random) -> Task:
    balls = [f"ball{i}" for i in sorted(rng.sample(range(1, 10), 4))]
    rooms = rng.sample(_ROOMS, 3)
    some = rng.sample(balls, rng.randint(1, 3))
    kind = rng.randrange(3)
    if kind == 0:
        atoms: list[Atom] = [("at", ball, rooms[0]) for ball in balls]
        words = f"all balls in the {rooms[0]}"
    elif kind == 1:
        places = [rng.choice(rooms) for _ in some]
        atoms = [("at", ball, room) for ball, room in zip(some, places, strict=True)]
        words = ", ".join(f"{ball} in the {room}" for ball, room in zip(some, places, strict=True))
    else:
        side = rng.choice(("left", "right"))
        atoms = [("carry", some[0], side), ("at-robby", rooms[0])]
        words = f"robby in the {rooms[0]} with {some[0]} in the {side} gripper"
    return _task(
        "gripper", {"ball": balls, "room": sorted(rooms), "gripper": ["left", "right"]}, words, atoms
    )


def _task(world: str, objects: dict[str, list[str]], words: str, atoms: list[Atom]) -> Task:
    declared = " ".join(name for kind, names in objects.items() if kind != "gripper" for name in names)
    written = " ".join(f"({' '.join(atom)})" for atom in atoms)
    goal = f"(:goal (and {written}))" if len(atoms) > 1 else f"(:goal {written})"
    return Task(f"PDDL {world}: {declared}\n{words}\n", goal, {"world": world, "objects": objects})


def _read(task: Task, text: str, *, finished: bool) -> bool:
    """Return whether a goal, or the beginning of one, is of the problem."""
    kinds = _WORLDS[task.data["world"]]
    objects: dict[str, list[str]] = task.data["objects"]
    lexemes = _LEXEME.findall(text)
    open_word = bool(lexemes) and not finished and text[-1] not in "()" and not text[-1].isspace()
    # What is open, outermost first: "goal", "and", an atom, or None before its first word.
    stack: list[str | Atom | None] = []
    atoms: set[Atom] = set()
    conditions = 0
    for i, lexeme in enumerate(lexemes):
        top = stack[-1] if stack else "text"
        if lexeme == "(":
            first = i == 0 if top == "text" else top == "goal" and not conditions
            if not (first or top == "and"):
                return False
            conditions += top == "goal"
            stack.append(None)
        elif lexeme == ")":
            if top is None or top == "text" or (top == "goal" and not conditions):
                return False
            if isinstance(top, tuple):
                if len(top) != 1 + len(kinds[top[0]]):
                    return False
                atoms.add(top)
                if contradictory(atoms):
                    return False
            stack.pop()
        else:
            expected: list[str]
            if top is None:
                expected = [":goal"] if len(stack) == 1 else [*kinds, *["and"][: len(stack) == 2]]
            elif isinstance(top, tuple) and len(top) <= len(kinds[top[0]]):
                expected = objects[kinds[top[0]][len(top) - 1]]
            else:
                return False
            if open_word and i == len(lexemes) - 1:
                return any(word.startswith(lexeme) for word in expected)
            if lexeme not in expected:
                return False
            if isinstance(top, tuple):
                stack[-1] = (*top, lexeme)
            else:
                stack[-1] = {":goal": "goal", "and": "and"}.get(lexeme, (lexeme,))
    return not finished or (not stack and bool(atoms))


def contradictory(atoms: set[Atom]) -> bool:
    """Return whether no state of the world has all of the atoms."""
    below: dict[str, set[str]] = {}
    above: dict[str, set[str]] = {}
    places: dict[str, set[Atom]] = {}
    robby = {atom for atom in atoms if atom[0] == "at-robby"}
    held: dict[str, set[str]] = {}
    for name, *arguments in atoms:
        if name == "on":
            upper, lower = arguments
            below.setdefault(upper, set()).add(lower)
            above.setdefault(lower, set()).add(upper)
        elif name == "on-table":
            below.setdefault(arguments[0], set()).add("")
        elif name == "clear":
            above.setdefault(arguments[0], set()).add("")
        elif name in ("at", "carry"):
            places.setdefault(arguments[0], set()).add((name, arguments[1]))
            if name == "carry":
                held.setdefault(arguments[1], set()).add(arguments[0])
    if any(len(names) > 1 for table in (below, above, held) for names in table.values()):
        return True
    if len(robby) > 1 or any(len(found) > 1 for found in places.values()):
        return True
    # Every block has at most one below it, so a cycle is found by going down.
    for block in below:
        seen, at = {block}, block
        while at in below:
            at = next(iter(below[at]))
            if at in seen:
                return True
            seen.add(at)
    return False


def atoms_of(text: str) -> frozenset[Atom] | None:
    """Return the atoms of a goal that is an atom or a conjunction of atoms; None for anything else."""
    atom = r"\(\s*[a-z][a-z0-9-]*(?:\s+[a-z][a-z0-9-]*)*\s*\)"
    goal = re.fullmatch(rf"\s*\(\s*:goal\s*(?:\(\s*and((?:\s*{atom})+)\s*\)|({atom}))\s*\)\s*", text)
    if goal is None:
        return None
    return frozenset(tuple(found[1:-1].split()) for found in re.findall(atom, goal[1] or goal[2]))
