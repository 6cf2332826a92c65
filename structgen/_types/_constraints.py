"""The constraints of ``Annotated``: those of ``annotated_types``, and compiled patterns."""

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from structgen._types._nodes import Constrained, Node
from structgen._types._values import Number

_BOUNDS: dict[str, tuple[str, str, Callable[[Any, Any], bool]]] = {
    "Gt": ("gt", "exclusiveMinimum", lambda value, bound: value > bound),
    "Ge": ("ge", "minimum", lambda value, bound: value >= bound),
    "Lt": ("lt", "exclusiveMaximum", lambda value, bound: value < bound),
    "Le": ("le", "maximum", lambda value, bound: value <= bound),
}
_LENGTHS = {"string": (str, "Length"), "array": (list, "Items"), "object": (dict, "Properties")}

# Beyond it, a number with an exponent would be written out to see what it is a multiple of.
_MAX_EXPONENT = 4300


def constrained(node: Node, metadata: Iterable[Any], path: str) -> Node:
    """Return ``node`` with the constraints among the arguments of its ``Annotated``.

    Raises
    ------
    TypeError
        A constraint that cannot be enforced. What no one has defined as a constraint is an annotation.
    """
    for item in _flat(metadata):
        if isinstance(item, re.Pattern):
            node = _with_pattern(node, item, path)
        elif type(item).__module__.partition(".")[0] == "annotated_types":
            node = _constrained_by(node, item, path)
        elif type(item).__name__ in {"Doc", "DocInfo"}:
            node = Constrained(node, {"description": item.documentation}, [])
    return node


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for item in metadata:
        # A group of annotated_types (Interval, Len) iterates over its constraints.
        if getattr(item, "__is_annotated_types_grouped_metadata__", False):
            yield from item
        else:
            yield item


def _constrained_by(node: Node, item: Any, path: str) -> Node:
    kinds, name = node.kinds(), type(item).__name__
    if name in _BOUNDS and "number" in kinds:
        attribute, keyword, holds = _BOUNDS[name]
        bound = getattr(item, attribute)
        limit = _exact(bound, path)
        return Constrained(
            node, {keyword: _written(limit, path)}, [lambda v: (n := _number(v)) is None or holds(n, limit)]
        )
    if name == "MultipleOf" and "number" in kinds:
        step = _exact(item.multiple_of, path)
        factor = Fraction(step)
        if factor <= 0:
            raise TypeError(f"{path}: a factor has to be greater than 0, not {item.multiple_of!r}")
        return Constrained(node, {"multipleOf": _written(step, path)}, [lambda v: _is_multiple(v, factor)])
    if name in {"MinLen", "MaxLen"} and kinds & _LENGTHS.keys():
        least = name == "MinLen"
        length = item.min_length if least else item.max_length
        keywords = {
            ("min" if least else "max") + _LENGTHS[kind][1]: length for kind in kinds & _LENGTHS.keys()
        }
        sized = tuple(_LENGTHS[kind][0] for kind in kinds & _LENGTHS.keys())

        def fits(value: Any) -> bool:
            return not isinstance(value, sized) or (len(value) >= length if least else len(value) <= length)

        return Constrained(node, keywords, [fits])
    if name == "DocInfo":
        return Constrained(node, {"description": item.documentation}, [])
    raise TypeError(f"{path}: {item!r} cannot be enforced here; leave it out, and check the value yourself")


def _exact(bound: Any, path: str) -> Decimal:
    if isinstance(bound, bool) or not isinstance(bound, int | float | Decimal):
        raise TypeError(f"{path}: the bound {bound!r} is not a number")
    number = Decimal(repr(bound)) if isinstance(bound, float) else Decimal(bound)
    if not number.is_finite():
        raise TypeError(f"{path}: the bound {bound!r} is not finite")
    return number


def _written(number: Decimal, path: str) -> int | float:
    """Return the number as schemas hold it, so that they can be dumped."""
    if number == number.to_integral_value():
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise TypeError(f"{path}: the bound {number} has more digits than a float")
    return float(number)


def _number(value: Any) -> Any:
    """Return the number that ``value`` is, or None: the other types of a union are not bounded."""
    if isinstance(value, Number):
        return value.decimal()
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_multiple(value: Any, factor: Fraction) -> bool:
    number = _number(value)
    if isinstance(number, Decimal) and number and abs(number.adjusted()) > _MAX_EXPONENT:
        return False
    return number is None or not Fraction(number) % factor


def _with_pattern(node: Node, pattern: re.Pattern[Any], path: str) -> Node:
    if "string" not in node.kinds() or not isinstance(pattern.pattern, str):
        raise TypeError(f"{path}: {pattern!r} is no constraint of this type")
    keyword = f"^(?:{pattern.pattern})$"
    counterexample = _difference(pattern.pattern, pattern.flags, keyword)
    if counterexample is not None:
        raise TypeError(
            f"{path}: {pattern!r} means something else in JSON Schema, which reads ECMA-262: they disagree "
            f"on {counterexample!r}. Write it so that both agree, for example [0-9] for \\d"
        )
    return Constrained(
        node,
        {"pattern": keyword},
        [lambda value: not isinstance(value, str) or pattern.fullmatch(value) is not None],
    )


@functools.lru_cache(maxsize=256)
def _difference(pattern: str, flags: int, ecma: str) -> str | None:
    """Return a text that only one of the two patterns matches, or None where they are the same language."""
    from structgen._compile import MAX_COMPILE_SECONDS, MAX_EMPTINESS_STEPS, MAX_REGEX_NODES
    from structgen._core import Builder
    from structgen._errors import RegexError
    from structgen._frontends.regex import lower_ecma, lower_python
    from structgen._vocabulary import Vocabulary

    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)] + [b"<eos>"], eos_token_ids=256)
    builder = Builder(
        vocabulary.native,
        max_regex_nodes=MAX_REGEX_NODES,
        max_emptiness_steps=MAX_EMPTINESS_STEPS,
        max_seconds=MAX_COMPILE_SECONDS,
    )
    meant = lower_python(pattern, builder, flags)
    try:
        written = lower_ecma(ecma, builder, search=True)
    except RegexError:  # a construct that only Python has
        return builder.re_shortest(meant)
    both = builder.re_intersection([meant, written])
    either = builder.re_union([meant, written])
    apart = builder.re_intersection([either, builder.re_complement(both)])
    return None if builder.re_is_empty(apart) else builder.re_shortest(apart)
