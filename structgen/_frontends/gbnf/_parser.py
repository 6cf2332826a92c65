r"""The parser of GBNF: what the guide of llama.cpp describes, read as its parser reads it.

White space is blanks, tabs and comments; line ends count as such inside parentheses, after ``::=``, after
``|`` and between rules. Elsewhere a line end is the end of the rule.

Where llama.cpp's parser does something that its guide does not say, this one refuses: an empty class (the
empty string there), a range whose ends are the wrong way round (nothing), a rule that is defined twice (the
last one counts), an upper count below the lower one (it never returns). An upper count above 2,000, which is
"no bound" there, is a bound here.
"""

import difflib
import string
from typing import NoReturn

from structgen._errors import GrammarError

from ._ast import (
    EMPTY,
    LAST_CODE_POINT,
    UNBOUNDED,
    Characters,
    Literal,
    Node,
    Reference,
    Repeat,
    Rule,
    alternatives,
    sequence,
)
from ._limits import MAX_COUNT, MAX_GRAMMAR_LENGTH, MAX_NESTING, limit_error

_NAME = frozenset(string.ascii_letters + string.digits + "-_")
_DIGITS = frozenset(string.digits)
_HEX = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", **{c: c for c in '\\"[]-'}}
_TIMES = {"*": (0, UNBOUNDED), "+": (1, UNBOUNDED), "?": (0, 1)}


def place(source: str, position: int) -> tuple[int, int]:
    """Return the line and the column of a position, both counted from 1."""
    head = source[:position].replace("\r\n", " \n").replace("\r", "\n")
    return head.count("\n") + 1, position - (head.rfind("\n") + 1) + 1


def parse_gbnf(source: str, root: str) -> dict[str, Rule]:
    """Parse a grammar; every rule that is referred to exists, and so does the root.

    Raises
    ------
    GrammarError
        The text is no GBNF grammar, a rule is missing, or something is not supported.
    LimitError
        The text is too long or nests too deeply.
    """
    if len(source) > MAX_GRAMMAR_LENGTH:
        what = f"the grammar has {len(source):,} characters"
        raise limit_error(what, "max_grammar_length", MAX_GRAMMAR_LENGTH)
    return _Parser(source).grammar(root)


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._text = source + "\0"  # the end, which no construct goes beyond
        self._at = 0
        self._depth = 0
        self._references: dict[str, int] = {}

    # -- places ----------------------------------------------------------------------------------------

    def _fail(self, reason: str, at: int | None = None, hint: str | None = None) -> NoReturn:
        line, column = place(self._source, self._at if at is None else at)
        raise GrammarError(reason, source=self._source, line=line, column=column, hint=hint)

    def _found(self) -> str:
        """Name what stands here, for a message."""
        if self._at >= len(self._source):
            return "the end of the grammar"
        character = self._text[self._at]
        return "the end of the line" if character in "\r\n" else repr(character)

    def _space(self, newline: bool) -> None:
        text, at = self._text, self._at
        blank = " \t\r\n" if newline else " \t"
        while True:
            if text[at] in blank:
                at += 1
            elif text[at] == "#":
                while at < len(self._source) and text[at] not in "\r\n":
                    at += 1
            else:
                break
        self._at = at

    # -- rules -----------------------------------------------------------------------------------------

    def grammar(self, root: str) -> dict[str, Rule]:
        rules: dict[str, Rule] = {}
        self._space(True)
        while self._at < len(self._source):
            rule = self._rule()
            if rule.name in rules:
                line, _ = place(self._source, rules[rule.name].position)
                self._fail(f"rule {rule.name!r} is defined twice, in line {line} and here", rule.position)
            rules[rule.name] = rule
        for name, at in self._references.items():
            if name not in rules:
                self._fail(f"rule {name!r} is not defined", at, _suggestion(name, rules))
        if root not in rules:
            reason = f"the grammar has no rule {root!r}, where every text begins"
            raise GrammarError(
                reason, source=self._source, line=None, column=None, hint=_suggestion(root, rules)
            )
        return rules

    def _rule(self) -> Rule:
        position = self._at
        name = self._name()
        self._space(False)
        if not self._text.startswith("::=", self._at):
            self._fail(f"expected '::=' after the name of rule {name!r}, not {self._found()}")
        self._at += 3
        self._space(True)
        body, _ = self._alternatives(False)
        if self._at < len(self._source) and self._text[self._at] not in "\r\n":
            self._unexpected()
        self._space(True)
        return Rule(name, body, position)

    def _unexpected(self) -> NoReturn:
        character = self._text[self._at]
        hint = None
        if character == ":":
            hint = "a rule ends where its line ends; only inside parentheses and after '|' it goes on"
        elif character == "'":
            hint = 'literals stand between double quotes: "..."'
        elif character == ")":
            hint = "nothing opened it"
        self._fail(f"expected an item, '|' or the end of the line, not {self._found()}", hint=hint)

    def _name(self) -> str:
        begin = self._at
        while self._text[self._at] in _NAME:
            self._at += 1
        if begin == self._at:
            hint = "a rule ends where its line ends; only inside parentheses and after '|' it goes on"
            self._fail(f"expected the name of a rule, not {self._found()}", hint=hint)
        return self._text[begin : self._at]

    # -- expressions -----------------------------------------------------------------------------------

    def _alternatives(self, nested: bool) -> tuple[Node, int]:
        """Read options; return their node and how deep groups and operators nest in it."""
        first, height = self._sequence(nested)
        options = [first]
        while self._text[self._at] == "|":
            self._at += 1
            self._space(True)
            option, height_of_option = self._sequence(nested)
            options.append(option)
            height = max(height, height_of_option)
        return alternatives(options), height

    def _sequence(self, nested: bool) -> tuple[Node, int]:
        items: list[Node] = []
        heights = [0]
        repeatable = False  # is there an item before this place that an operator can apply to?
        while True:
            character = self._text[self._at]
            if character in "*+?{":
                operator = self._at
                low, high = self._times(nested)
                if not repeatable:
                    self._fail("nothing stands before this operator that it could repeat", operator)
                items[-1] = Repeat(items[-1], low, high) if high else EMPTY
                heights[-1] += 1
            elif character == "(":
                group, height = self._group()
                items.append(group)
                heights.append(height + 1)
                repeatable = True
            elif (item := self._item(character)) is not None:
                items.append(item)
                heights.append(0)
                repeatable = item != Literal("")
            else:
                return sequence(items), max(heights)
            if heights[-1] > MAX_NESTING:
                what = "groups and repetitions of the grammar nest too deeply"
                raise limit_error(what, "max_nesting", MAX_NESTING)
            self._space(nested)

    def _item(self, character: str) -> Node | None:
        if character == '"':
            return self._literal()
        if character == "[":
            return self._class()
        if character == ".":
            self._at += 1
            return Characters(((0, LAST_CODE_POINT),))
        if character in "<!":
            self._fail(
                "references to tokens are not supported",
                hint="write the text of an ordinary token as a literal",
            )
        if character not in _NAME:
            return None
        position = self._at
        name = self._name()
        self._references.setdefault(name, position)
        return Reference(name, position)

    def _group(self) -> tuple[Node, int]:
        opening = self._at
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise limit_error("groups of the grammar nest too deeply", "max_nesting", MAX_NESTING)
        self._at += 1
        self._space(True)
        body, height = self._alternatives(True)
        if self._text[self._at] != ")":
            if self._at < len(self._source):
                self._unexpected()
            self._fail("nothing closes this group", opening)
        self._at += 1
        self._depth -= 1
        return body, height

    # -- characters ------------------------------------------------------------------------------------

    def _literal(self) -> Node:
        opening = self._at
        self._at += 1
        text = []
        while self._text[self._at] != '"':
            position = self._at
            text.append(self._character("literal", opening))
            if 0xD800 <= text[-1] <= 0xDFFF:
                self._fail("a surrogate is no character, so that no text holds it", position)
        self._at += 1
        return Literal("".join(map(chr, text)))

    def _class(self) -> Node:
        opening = self._at
        self._at += 1
        negated = self._text[self._at] == "^"
        self._at += negated
        ranges = []
        while self._text[self._at] != "]":
            position = self._at
            low = high = self._character("class", opening)
            if self._text[self._at] == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._character("class", opening)
                if high < low:
                    self._fail("the ends of this range are the wrong way round", position)
            ranges.append((low, high))
        self._at += 1
        if not ranges:
            self._fail("this class has no characters", opening, "'.' is any character, '\"\"' the empty text")
        return Characters(_complement(ranges) if negated else tuple(ranges))

    def _character(self, kind: str, opening: int) -> int:
        """Read a character or an escape of a literal or a class; return its code point."""
        at = self._at
        if at >= len(self._source):
            self._fail(f"nothing closes this {kind}", opening)
        character = self._text[at]
        if character != "\\":
            self._at += 1
            return ord(character)
        escape = self._text[at + 1 : at + 2]
        if escape in _ESCAPES:
            self._at += 2
            return ord(_ESCAPES[escape])
        size = _HEX.get(escape)
        if size is None:
            known = r"\t \r \n \\ \" \[ \] \- \xXX \uXXXX \UXXXXXXXX"
            self._fail("this escape is unknown", hint=f"the escapes are {known}")
        digits = self._text[at + 2 : at + 2 + size]
        if len(digits) < size or not set(digits) <= set(string.hexdigits):
            self._fail(f"expected {size} hexadecimal digits after \\{escape}")
        if int(digits, 16) > LAST_CODE_POINT:
            self._fail("there is no such code point")
        self._at += 2 + size
        return int(digits, 16)

    # -- repetition ------------------------------------------------------------------------------------

    def _times(self, nested: bool) -> tuple[int, int]:
        opening = self._at
        self._at += 1
        times = _TIMES.get(self._text[opening])
        if times is not None:
            return times
        self._space(nested)
        low = high = self._count()
        self._space(nested)
        if self._text[self._at] == ",":
            self._at += 1
            self._space(nested)
            high = UNBOUNDED
            if self._text[self._at] in _DIGITS:
                high = self._count()
                self._space(nested)
        if self._text[self._at] != "}":
            self._fail(f"expected '}}', or a comma and an upper count, not {self._found()}")
        self._at += 1
        if high != UNBOUNDED and high < low:
            self._fail(f"at least {low:,} and at most {high:,} times is impossible", opening)
        return low, high

    def _count(self) -> int:
        begin = self._at
        while self._text[self._at] in _DIGITS:
            self._at += 1
        digits = self._text[begin : self._at].lstrip("0")
        if begin == self._at:
            self._fail(f"expected a number, not {self._found()}")
        if len(digits) > 10 or int(digits or "0") > MAX_COUNT:
            raise limit_error(f"{digits[:40]} is too many times", "max_count", MAX_COUNT)
        return int(digits or "0")


def _complement(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    outside = []
    first = 0
    for low, high in sorted(ranges):
        if low > first:
            outside.append((first, low - 1))
        first = max(first, high + 1)
    if first <= LAST_CODE_POINT:
        outside.append((first, LAST_CODE_POINT))
    return tuple(outside)


def _suggestion(name: str, rules: dict[str, Rule]) -> str | None:
    close = difflib.get_close_matches(name, list(rules), n=1)
    return f"did you mean {close[0]!r}?" if close else None
