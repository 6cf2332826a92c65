"""Lowering the claims of a shape, type by type.

For a scalar type the formula becomes a regex, for arrays and objects what has to be counted. Checks that no
automaton can do are decided first: each way of them to come out is a case of its own, with the guards that
make sure of it.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from . import _arrays, _objects, _scalars
from ._formulas import FALSE, TRUE, Check, Formula, all_of, substituted, walk
from ._shapes import ARRAY, BOOLEAN, KINDS, NULL, NUMBER, OBJECT, STRING, Shape

if TYPE_CHECKING:
    from ._lower import Lowering

# Checks whose outcomes are told apart for one value.
_MAX_CHECKS = 6


def lower_claims(lowering: Lowering, shape: Shape) -> int:
    """Lower a shape that makes claims; its ``anyOf`` keywords have been distributed."""
    parts = []
    for kind in KINDS:
        if shape.types & kind:
            formulas = [lowering.truth.of_claim(claim, kind) for claim in shape.claims]
            if kind == ARRAY and shape.contains:
                formulas.append(lowering.truth.counted_items(shape))
            parts.append(_lower_kind(lowering, shape, kind, all_of(formulas)))
    return lowering.choice(parts)


def _lower_kind(lowering: Lowering, shape: Shape, kind: int, formula: Formula) -> int:
    lowering.check_time()
    if formula is FALSE:
        return lowering.nothing
    if kind not in (ARRAY, OBJECT) or formula is TRUE:
        return _lower_exactly(lowering, shape, kind, formula)
    expression = lowering.attempts.attempt(lambda: _lower_exactly(lowering, shape, kind, formula))
    if expression is not None:
        return expression
    part = shape.copy()
    part.types = kind
    return lowering.guards.guarded(
        lowering.alternatives.relaxed(part), lowering.guards.claims(shape, kind, formula), False
    )


def _lower_exactly(lowering: Lowering, shape: Shape, kind: int, formula: Formula) -> int:
    wanted: dict[int, set[bool]] = {}
    for part in walk(formula):
        if isinstance(part, Check):
            wanted.setdefault(part.guard, set()).add(part.wanted)
    if not wanted:
        return _lower_decided(lowering, shape, kind, formula)
    if len(wanted) > _MAX_CHECKS:
        raise lowering.limit(lowering.node, None, f"more than {_MAX_CHECKS} checks of one value")
    cases = []
    for outcomes in product((True, False), repeat=len(wanted)):
        outcome = dict(zip(wanted, outcomes, strict=True))
        rest = _decided(formula, outcome)
        if rest is FALSE:
            continue
        case = shape
        # An outcome that nothing asks for need not be made sure of: the formula holds with the other, too.
        sure = [guard for guard in wanted if outcome[guard] in wanted[guard]]
        if (
            kind == ARRAY
            and outcome.get(lowering.guards.known_unique)
            and lowering.guards.known_unique in sure
        ):
            case = shape.copy()
            case.unique = lowering.node
            sure.remove(lowering.guards.known_unique)
        expression = _lower_decided(lowering, case, kind, rest)
        for guard in sure:
            expression = lowering.guards.guarded(expression, guard, not outcome[guard])
        cases.append(expression)
    return lowering.choice(cases)


def _decided(formula: Formula, outcome: dict[int, bool]) -> Formula:
    """Return what is left of a formula when the outcomes of its checks are known."""

    def decide(atom: Formula) -> Formula:
        if isinstance(atom, Check):
            return TRUE if outcome[atom.guard] == atom.wanted else FALSE
        return atom

    return substituted(formula, decide)


def _lower_decided(lowering: Lowering, shape: Shape, kind: int, formula: Formula) -> int:
    if kind == OBJECT:
        return _objects.lower_object(lowering, shape, formula=formula)
    if kind == ARRAY:
        return _arrays.lower_array(lowering, shape, formula=formula)
    if kind == STRING:
        return _scalars.lower_string(lowering, shape, formula)
    if kind == NUMBER:
        return _scalars.lower_number(lowering, shape, formula)
    if formula is TRUE:
        return lowering.null() if kind == NULL else lowering.boolean()
    assert kind in (NULL, BOOLEAN)
    return lowering.scalar(lowering.truth.regex_of(formula, kind))
