"""From the tree of ``re._parser`` to the tree of ``_ast``."""

import functools
import re
import string
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from structgen._errors import RegexError
from structgen._frontends.regex import _ast, _charset, _unicode
from structgen._frontends.regex._ast import Node
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._limits import MAX_COUNT, MAX_EXPANSION, MAX_NESTING, Budget, limit_error
from structgen._frontends.regex._standard import (
    ATOMIC_GROUP,
    EMPTY_LOOKAHEAD_FAILS,
    POSSESSIVE_REPEAT,
    compiler,
    constants,
    parser,
)

Item = tuple[Any, Any]

# Plain numbers: arithmetic on the flags of re is slow.
_IGNORECASE, _MULTILINE, _DOTALL = int(re.IGNORECASE), int(re.MULTILINE), int(re.DOTALL)
_ASCII, _VERBOSE = int(re.ASCII), int(re.VERBOSE)
_TYPE_FLAGS = int(re.ASCII | re.LOCALE | re.UNICODE)
_NEWLINE: Ranges = ((0x0A, 0x0A),)
_BMP_END = 0xFFFF
_CATEGORIES = {
    constants.CATEGORY_DIGIT: r"\d",
    constants.CATEGORY_NOT_DIGIT: r"\D",
    constants.CATEGORY_SPACE: r"\s",
    constants.CATEGORY_NOT_SPACE: r"\S",
    constants.CATEGORY_WORD: r"\w",
    constants.CATEGORY_NOT_WORD: r"\W",
}
_ONE_CHARACTER = (constants.LITERAL, constants.NOT_LITERAL, constants.ANY, constants.IN)
_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)

# What a refused construct looks like in the source; anything that could hide one comes first.
_SCANNER = r"\\[^1-9]|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?\#[^)]*\)"
_PLACES = {
    "reference": r"\\[1-9]|\(\?P=",
    "condition": r"\(\?\(",
    "atomic": r"\(\?>|(?<=[*+?}])\+",
    "lookaround": r"\((?!\?!\))\?<?[=!]" if EMPTY_LOOKAHEAD_FAILS else r"\(\?<?[=!]",
}


class Converter:
    """Converts one parsed pattern.

    Parameters
    ----------
    pattern : str
        The source, for messages.
    tree : re._parser.SubPattern
        What the standard library's parser made of it.
    """

    def __init__(self, pattern: str, tree: Any) -> None:
        self.pattern = pattern
        self.flags: int = tree.state.flags
        self._tree = tree
        self._lookarounds: list[int] | None = None
        self._depth = 0
        self._budget = Budget("an atomic group expands too far", "max_expansion", MAX_EXPANSION)

    def convert(self) -> Node:
        """Convert the whole pattern.

        Raises
        ------
        RegexError
            A construct is not regular.
        LimitError
            Groups are nested too deeply, or a count is too large.
        """
        return self._sequence(self._tree, self.flags)

    def _places(self, kind: str) -> list[int]:
        """Where a construct stands in the source, which the tree does not say."""
        scanner = f"{_SCANNER}|(?P<found>{_PLACES[kind]})"
        if self.flags & _VERBOSE:
            scanner = r"#[^\n]*|" + scanner
        return [m.start() for m in re.finditer(scanner, self.pattern, re.DOTALL) if m.group("found")]

    def _refusal(self, what: str, kind: str) -> RegexError:
        return RegexError(what, pattern=self.pattern, position=next(iter(self._places(kind)), None))

    def _sequence(self, items: Iterable[Item], flags: int) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise limit_error("groups are nested too deeply", "max_nesting", MAX_NESTING)
        parts: list[Node] = []
        text: list[str] = []
        for item in items:
            operation, value = item
            if operation is constants.LITERAL and not flags & _IGNORECASE and not 0xD800 <= value <= 0xDFFF:
                text.append(chr(value))
                continue
            if text:
                parts.append(_ast.Literal("".join(text)))
                text = []
            parts.append(self._item(item, flags))
        if text:
            parts.append(_ast.Literal("".join(text)))
        self._depth -= 1
        return _ast.concat(parts)

    def _item(self, item: Item, flags: int) -> Node:
        operation, argument = item
        if operation in _ONE_CHARACTER:
            return self._one_character(item, flags)
        if operation is constants.SUBPATTERN:
            _, added, removed, inner = argument
            return self._sequence(inner, _combine(flags, added, removed))
        if operation is constants.BRANCH:
            return _ast.alternation(self._sequence(option, flags) for option in argument[1])
        if operation in _REPEATS:
            low, high, body = argument
            lazy = operation is constants.MIN_REPEAT
            return _ast.repeat(self._sequence(body, flags), *_counts(low, high), lazy)
        if operation is constants.AT:
            return _anchor(argument, flags)
        if operation is constants.ASSERT or operation is constants.ASSERT_NOT:
            return self._look(item, flags)
        if operation is ATOMIC_GROUP:
            return self._first_match(list(argument), flags)
        if operation is POSSESSIVE_REPEAT:
            return self._possessive(argument, flags)
        if operation is constants.FAILURE:
            return _ast.NOTHING
        if operation is constants.GROUPREF:
            raise self._refusal("a backreference is not regular", "reference")
        if operation is constants.GROUPREF_EXISTS:
            raise self._refusal("a conditional group is not supported", "condition")
        raise RegexError(f"{operation} is not supported", pattern=self.pattern)

    def _look(self, item: Item, flags: int) -> Node:
        direction, body = item[1]
        if self._lookarounds is None:
            # Atomic groups are converted more than once, so that counting would go wrong.
            atomic = ("(?>" in self.pattern or "+" in self.pattern) and self._places("atomic")
            self._lookarounds = [] if atomic else self._places("lookaround")[::-1]
        position = self._lookarounds.pop() if self._lookarounds else None
        if direction < 0 and self._width(body) is None:
            reason = "look-behind requires fixed-width pattern"
            raise RegexError(reason, pattern=self.pattern, position=position)
        negative = item[0] is constants.ASSERT_NOT
        return _ast.look(self._sequence(body, flags), direction < 0, negative, position)

    def _one_character(self, item: Item, flags: int) -> Node:
        operation, argument = item
        if operation is constants.LITERAL and flags & _IGNORECASE:
            return _any_case(argument, flags & (_TYPE_FLAGS | _IGNORECASE))
        ascii_only = bool(flags & _ASCII)
        if operation is constants.ANY:
            return _ast.ANY if flags & _DOTALL else _ast.Chars(_charset.complement(_NEWLINE))
        negative = operation is constants.NOT_LITERAL
        ranges: list[tuple[int, int]] = []
        for kind, value in argument if operation is constants.IN else [(constants.LITERAL, argument)]:
            if kind is constants.NEGATE:
                negative = True
            elif kind is constants.LITERAL:
                ranges.append((value, value))
            elif kind is constants.RANGE:
                ranges.append(value)
            else:
                ranges += _unicode.python_class(_CATEGORIES[value], ascii_only)
        members = _charset.normalise(ranges)
        if negative:
            members = _charset.complement(members)
        if flags & _IGNORECASE:
            members = _ignoring_case(members, repr(item), _Item(item, flags))
        return _ast.Chars(members)

    # -- atomic groups ---------------------------------------------------------------------

    def _possessive(self, argument: Any, flags: int) -> Node:
        low, high, body = argument
        if low and self._width(body) is None:
            # re commits to each required copy on its own, which is not what (?>...) means.
            raise self._refusal(
                "a possessive quantifier on a body of varying length is not supported", "atomic"
            )
        return self._first_match([(constants.MAX_REPEAT, (low, high, body))], flags)

    def _first_match(self, items: list[Item], flags: int) -> Node:
        """The items, ending only where their first match in the order of backtracking ends.

        Whatever has a fixed width ends in one place anyway. A choice is made unambiguous by negative
        lookaheads for everything that would have been preferred. At most one match is left from any place, so
        that its order does not matter.
        """
        self._budget.spend(1 + len(items))
        fixed = 0
        while fixed < len(items) and self._width([items[fixed]]) is not None:
            fixed += 1
        if fixed:
            head = self._sequence(items[:fixed], flags)
            if fixed == len(items):
                return head
            return _ast.concat([head, self._first_match(items[fixed:], flags)])
        if not items:
            return _ast.EPSILON
        (operation, argument), rest = items[0], items[1:]
        if operation is constants.SUBPATTERN:
            _, added, removed, inner = argument
            if not rest:
                return self._first_match(list(inner), _combine(flags, added, removed))
            if not (added or removed):
                return self._first_match([*inner, *rest], flags)
        elif operation is constants.BRANCH:
            return self._first_option([[*option, *rest] for option in argument[1]], flags)
        elif operation in _REPEATS:
            node = self._first_repeat(operation is constants.MAX_REPEAT, argument, rest, flags)
            if node is not None:
                return node
        elif not rest and operation is ATOMIC_GROUP:
            return self._first_match(list(argument), flags)
        elif not rest and operation is POSSESSIVE_REPEAT:
            return self._possessive(argument, flags)
        raise self._refusal("this atomic group is too ambiguous to be represented", "atomic")

    def _width(self, items: Iterable[Item]) -> int | None:
        """The length of every match of the items, or ``None`` where it varies."""
        low, high = parser.SubPattern(self._tree.state, list(items)).getwidth()
        return int(low) if low == high and low < MAX_COUNT else None

    def _first_option(self, options: Sequence[list[Item]], flags: int) -> Node:
        found: list[Node] = []
        refused: list[Node] = []
        for option in options:
            found.append(_ast.concat([*refused, self._first_match(option, flags)]))
            refused.append(_ast.look(self._sequence(option, flags), behind=False, negative=True))
        return _ast.alternation(found)

    def _first_repeat(self, greedy: bool, argument: Any, rest: list[Item], flags: int) -> Node | None:
        body = list(argument[2])
        low, high = _counts(*argument[:2])
        if (low, high) == (0, 1):
            options = [[*body, *rest], rest]
            return self._first_option(options if greedy else options[::-1], flags)
        width = self._width(body)
        if width is None or width == 0:
            if low or high >= 0 or rest or not greedy or _ast.nullable(self._sequence(body, flags)):
                return None
            stop = _ast.look(self._sequence(body, flags), behind=False, negative=True)
            return _ast.concat([_ast.repeat(self._first_match(body, flags), 0, -1), stop])
        copy = self._sequence(body, flags)
        tail = self._sequence(rest, flags)
        if not greedy:
            return _ast.repeat(copy, low, low) if not rest else None
        if high < 0:
            stop = _ast.look(_ast.concat([_ast.repeat(copy, 1, -1), tail] if rest else [copy]), False, True)
            return _ast.concat([_ast.repeat(copy, low, -1), stop, self._first_match(rest, flags)])
        if rest:
            return None
        stop = _ast.look(copy, behind=False, negative=True)
        fewer = _ast.concat([_ast.repeat(copy, low, high - 1), stop]) if low < high else _ast.NOTHING
        return _ast.alternation([fewer, _ast.repeat(copy, high, high)])


def _combine(flags: int, added: int, removed: int) -> int:
    if added & _TYPE_FLAGS:
        flags &= ~_TYPE_FLAGS
    return (flags | added) & ~removed


def _counts(low: Any, high: Any) -> tuple[int, int]:
    bounds = int(low), -1 if high is constants.MAXREPEAT else int(high)
    if max(bounds) > MAX_COUNT:
        raise limit_error("a count of a quantifier is too large", "max_count", MAX_COUNT)
    return bounds


def _anchor(kind: Any, flags: int) -> Node:
    multiline = bool(flags & _MULTILINE)
    if kind is constants.AT_BEGINNING_STRING or (kind is constants.AT_BEGINNING and not multiline):
        return _ast.AT_START
    if kind is constants.AT_BEGINNING:
        return _ast.Before(_NEWLINE, True)
    if kind is constants.AT_END_STRING:
        return _ast.AT_END
    if kind is constants.AT_END:
        if multiline:
            return _ast.After(_NEWLINE, True)
        return _ast.AT_END_OR_LAST_NEWLINE
    word = _unicode.python_class(r"\w", bool(flags & _ASCII))
    return _ast.boundary(word, kind is constants.AT_NON_BOUNDARY, sys.version_info >= (3, 14))


def keyword(word: str, flags: str) -> Node:
    """Return the tree of ``(?flags:word)``; the word holds letters, digits and ``_`` of ASCII."""
    if "i" not in flags:
        return _ast.Literal(word)
    kept = _IGNORECASE | (_ASCII if "a" in flags else int(re.UNICODE))
    return _ast.concat(_any_case(ord(character), kept) for character in word)


@functools.lru_cache(maxsize=1024)
def _any_case(character: int, flags: int) -> Node:
    item = (constants.LITERAL, character)
    return _ast.Chars(_ignoring_case(_charset.normalise([item[1:] * 2]), repr(item), _Item(item, flags)))


class _Item:
    """One item of the tree with its flags, kept out of the key of the cache that it is passed through."""

    def __init__(self, item: Item, flags: int) -> None:
        self.item = item
        self.flags = flags & (_TYPE_FLAGS | _IGNORECASE)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Item) and self.flags == other.flags

    def __hash__(self) -> int:
        return hash(self.flags)

    def folds_ascii(self) -> bool:
        """Whether only ASCII letters match in another case: by ``ASCII``, save in ranges beyond the BMP."""
        operation, argument = self.item
        parts = argument if operation is constants.IN else ()
        return bool(self.flags & _ASCII) and not any(
            kind is constants.RANGE and value[1] > _BMP_END for kind, value in parts
        )

    def members(self, characters: str) -> list[str]:
        """The characters that the item matches, found by the compiler and matcher of :mod:`re`."""
        state = parser.State()
        state.flags = self.flags
        state.str = ""
        compiled: re.Pattern[str] = compiler.compile(parser.SubPattern(state, [self.item]), self.flags)
        return compiled.findall(characters)


@functools.lru_cache(maxsize=1024)
def _ignoring_case(exact: Ranges, key: str, item: _Item) -> Ranges:
    """Widen the set of an item as ``IGNORECASE`` does; ``key`` spells the item."""
    ascii_only = item.folds_ascii()
    matched = _charset.normalise((ord(c), ord(c)) for c in item.members(_cased(ascii_only)))
    return _charset.union(_charset.intersection(exact, _uncased(ascii_only)), matched)


def _cased(ascii_only: bool) -> str:
    """The characters that may match in another case than their own."""
    return string.ascii_letters if ascii_only else _unicode.cased_characters()


@functools.cache
def _uncased(ascii_only: bool) -> Ranges:
    return _charset.complement(_charset.normalise((ord(c), ord(c)) for c in _cased(ascii_only)))
