"""Parser of ECMA-262 patterns: Unicode mode, or the legacy syntax of Annex B (code points in both)."""

import re
from typing import NoReturn

from structgen._frontends.regex import _ast, _charset, _ecma_classes, _unicode
from structgen._frontends.regex._ast import Node
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._limits import MAX_COUNT, MAX_NESTING, MAX_SAME_NAME, limit_error


class ProblemError(Exception):
    """Invalid syntax: the caller may try again in the other mode before it reports this."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


class IrregularError(Exception):
    """Valid syntax without a regular language: no mode can help."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


_RUN = re.compile(r"[^\\^$.*+?()\[\]{}|]+")
_BRACES = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_GROUP_NAME = re.compile(r"([^\W\d]|\$)[\w$\u200c\u200d]*>")
_MODIFIERS = re.compile(r"([ims]*)(-([ims]*))?:")
_OPENERS = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]?|\((?!\?)|\(\?<(?![=!])", re.DOTALL)

_HINTS = {
    "(?P": "named groups are written (?<name>...) in ECMA-262",
    "(?#": "ECMA-262 has no comments",
    "(?>": "ECMA-262 has no atomic groups",
    "(?(": "ECMA-262 has no conditional groups",
}


class Parser:
    """One parse of one pattern.

    Parameters
    ----------
    pattern : str
        The pattern, without delimiters.
    unicode : bool
        Unicode mode; otherwise the more lenient legacy syntax.
    """

    def __init__(self, pattern: str, unicode: bool) -> None:
        self.pattern = pattern
        self.unicode = unicode
        self.position = 0
        self.ignore_case = self.multiline = self.dot_all = False
        self._depth = 0
        self._groups = -1
        self._named = False
        self._paths: dict[str, list[tuple[tuple[int, int], ...]]] = {}
        self._path: tuple[tuple[int, int], ...] = ()
        self._references: list[tuple[str, int]] = []
        self._alternations = 0

    def parse(self) -> Node:
        """Parse the whole pattern.

        Raises
        ------
        ProblemError
            The syntax is invalid in this mode.
        IrregularError
            The syntax is valid and what it means is not regular.
        LimitError
            Groups are nested too deeply, or a count is too large.
        """
        node = self._alternation()
        if self.position < len(self.pattern):
            self._fail("unmatched ')'")
        for name, position in self._references:
            if name not in self._paths:
                raise ProblemError(f"there is no group named {name!r}", position)
        for name, position in self._references:
            raise IrregularError(f"the backreference to {name!r} is not regular", position)
        return node

    def _fail(self, reason: str, position: int | None = None) -> NoReturn:
        raise ProblemError(reason, self.position if position is None else position)

    # -- structure -------------------------------------------------------------------------

    def _alternation(self) -> Node:
        identity, outer = self._alternations, self._path
        self._alternations += 1
        options: list[Node] = []
        while True:
            self._path = (*outer, (identity, len(options)))
            options.append(self._sequence())
            if not self.pattern.startswith("|", self.position):
                break
            self.position += 1
        self._path = outer
        return options[0] if len(options) == 1 else _ast.alternation(options)

    def _sequence(self) -> Node:
        pattern, end = self.pattern, len(self.pattern)
        parts: list[Node] = []
        while self.position < end:
            run = _RUN.match(pattern, self.position)
            if run is not None:
                self._literals(run.group(), parts)
                continue
            start = self.position
            character = pattern[start]
            if character in "|)":
                break
            node, quantifiable = self._atom(character)
            if self.position < end and pattern[self.position] in "*+?{":
                node = self._quantified(node, quantifiable)
            parts.append(node)
        return parts[0] if len(parts) == 1 else _ast.concat(parts)

    def _literals(self, text: str, parts: list[Node]) -> None:
        """Add a run of ordinary characters; a quantifier binds to the last of them only."""
        self.position += len(text)
        last = None
        if self.position < len(self.pattern) and self.pattern[self.position] in "*+?{":
            text, last = text[:-1], text[-1]
        if text:
            if self.ignore_case or not text.isascii():
                parts += [self._character(ord(c)) for c in text]
            else:
                parts.append(_ast.Literal(text))
        if last is not None:
            parts.append(self._quantified(self._character(ord(last)), True))

    def _quantified(self, node: Node, quantifiable: bool) -> Node:
        position = self.position
        character = self.pattern[position]
        if character == "{":
            braces = _BRACES.match(self.pattern, position)
            if braces is None:
                if self.unicode:
                    self._fail("'{' must be escaped or begin a quantifier such as {2,3}")
                return node
            low, high = self._counts(braces)
            self.position = braces.end()
        else:
            low, high = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[character]
            self.position += 1
        if not quantifiable:
            self._fail("nothing to repeat", position)
        if self.pattern.startswith("?", self.position):
            self.position += 1
        if self.position < len(self.pattern) and self.pattern[self.position] in "*+?":
            self._fail("nothing to repeat (ECMA-262 has no possessive quantifiers)")
        return _ast.repeat(node, low, high)

    def _counts(self, braces: re.Match[str]) -> tuple[int, int]:
        first, comma, second = braces.groups()
        if len(first) > 12 or len(second or "") > 12:
            raise limit_error("a count of a quantifier is too large", "max_count", MAX_COUNT)
        low = int(first)
        high = low if comma is None else int(second) if second else -1
        if 0 <= high < low:
            self._fail("the bounds of the quantifier are out of order")
        if max(low, high) > MAX_COUNT:
            raise limit_error("a count of a quantifier is too large", "max_count", MAX_COUNT)
        return low, high

    def _atom(self, character: str) -> tuple[Node, bool]:
        """Parse what a metacharacter begins; also say whether a quantifier may follow."""
        if character == "\\":
            return self._escape()
        if character == "[":
            return self._class(), True
        if character == "(":
            return self._group()
        position = self.position
        self.position += 1
        if character == ".":
            return (_ast.ANY if self.dot_all else _ast.Chars(_ecma_classes.DOT)), True
        if character == "^":
            return (_ast.Before(_ecma_classes.NEWLINE, True) if self.multiline else _ast.AT_START), False
        if character == "$":
            return (_ast.After(_ecma_classes.NEWLINE, True) if self.multiline else _ast.AT_END), False
        if character in "*+?":
            self._fail("nothing to repeat", position)
        if self.unicode:
            self._fail(f"{character!r} must be escaped", position)
        if character == "{" and _BRACES.match(self.pattern, position):
            self._fail("nothing to repeat", position)
        return self._character(ord(character)), True

    def _group(self) -> tuple[Node, bool]:
        pattern, start = self.pattern, self.position
        flags = self.ignore_case, self.multiline, self.dot_all
        behind = look = negative = False
        if not pattern.startswith("(?", start):
            self.position += 1
        elif pattern.startswith("(?:", start):
            self.position += 3
        elif pattern.startswith(("(?=", "(?!"), start):
            look, negative = True, pattern[start + 2] == "!"
            self.position += 3
        elif pattern.startswith(("(?<=", "(?<!"), start):
            look, behind, negative = True, True, pattern[start + 3] == "!"
            self.position += 4
        elif pattern.startswith("(?<", start):
            self._group_name(start)
        else:
            self._modifiers(start)
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise limit_error("groups are nested too deeply", "max_nesting", MAX_NESTING)
        body = self._alternation()
        self._depth -= 1
        self.ignore_case, self.multiline, self.dot_all = flags
        if not pattern.startswith(")", self.position):
            self._fail("the group is never closed", start)
        self.position += 1
        if not look:
            return body, True
        return _ast.look(body, behind, negative, start), not behind and not self.unicode

    def _group_name(self, start: int) -> None:
        match = _GROUP_NAME.match(self.pattern, start + 3)
        if match is None:
            self._fail("invalid name of a group", start)
        self.position = match.end()
        name = match.group()[:-1]
        others = self._paths.setdefault(name, [])
        if len(others) >= MAX_SAME_NAME:
            raise limit_error(f"too many groups are named {name!r}", "max_same_name", MAX_SAME_NAME)
        for other in others:
            # The same name may occur twice only in different options of one alternation.
            if not any(a == b and i != j for (a, i), (b, j) in zip(other, self._path, strict=False)):
                self._fail(f"the group name {name!r} occurs twice", start)
        others.append(self._path)

    def _modifiers(self, start: int) -> None:
        match = _MODIFIERS.match(self.pattern, start + 2)
        if match is not None:
            added, dash, removed = match.groups()
            letters = added + (removed or "")
            if len(set(letters)) == len(letters) and (letters or dash is None):
                self.position = match.end()
                for letter, attribute in (("i", "ignore_case"), ("m", "multiline"), ("s", "dot_all")):
                    if letter in letters:
                        setattr(self, attribute, letter in added)
                return
        hint = _HINTS.get(self.pattern[start : start + 3])
        if hint is None and re.match(r"\(\?[a-zA-Z-]+\)", self.pattern[start:]):
            hint = "ECMA-262 has no global inline flags; write (?i:...) around the pattern"
        self._fail("unknown kind of group" + (f": {hint}" if hint else ""), start)

    # -- characters ------------------------------------------------------------------------

    def _character(self, code_point: int) -> Node:
        if 0xD800 <= code_point <= 0xDFFF:
            return _ast.NOTHING
        if self.ignore_case:
            return _ast.Chars(_unicode.simple_fold_closure(((code_point, code_point),)))
        return _ast.Literal(chr(code_point))

    def _set(self, ranges: Ranges, negative: bool = False) -> Node:
        if self.ignore_case:
            ranges = _unicode.simple_fold_closure(ranges)
        return _ast.Chars(_charset.complement(ranges) if negative else ranges)

    def _word(self) -> Ranges:
        return _unicode.simple_fold_closure(_ecma_classes.WORD) if self.ignore_case else _ecma_classes.WORD

    def _escape(self) -> tuple[Node, bool]:
        start = self.position
        following = self.pattern[start + 1 : start + 2]
        if not following:
            self._fail("the pattern ends in a backslash")
        if following in "bB":
            self.position += 2
            # The specification allows no quantifier here; regress does, and what it means is clear.
            return _ast.boundary(self._word(), following == "B"), True
        if following == "k":
            return self._named_reference(start), True
        if following in "123456789":
            reference = self._numbered_reference(start)
            if reference is not None:
                raise IrregularError(f"the backreference {reference} is not regular", start)
        ranges = self._class_escape()
        if ranges is not None:
            return self._set(ranges), True
        return self._character(self._character_escape(False)), True

    def _count_groups(self) -> int:
        if self._groups < 0:
            openers = [text for text in _OPENERS.findall(self.pattern) if text.startswith("(")]
            self._groups = len(openers)
            self._named = "(?<" in openers
        return self._groups

    def _numbered_reference(self, start: int) -> str | None:
        match = re.compile(r"\\[0-9]+").match(self.pattern, start)
        assert match is not None
        digits = match.group()[1:]
        if len(digits) < 8 and int(digits) <= self._count_groups():
            return match.group()
        if self.unicode:
            self._fail(f"there is no group {digits}", start)
        return None

    def _named_reference(self, start: int) -> Node:
        self._count_groups()
        match = re.compile(r"\\k<([^>]*)>").match(self.pattern, start)
        if not self.unicode and not self._named:
            self.position += 2
            return self._character(ord("k"))
        if match is None:
            self._fail("invalid named backreference", start)
        self.position = match.end()
        self._references.append((match.group(1), start))
        return _ast.EPSILON

    def _class_escape(self) -> Ranges | None:
        """Parse ``\\d \\D \\s \\S \\w \\W \\p \\P``; leave anything else alone."""
        start = self.position
        letter = self.pattern[start + 1 : start + 2]
        ranges = _ecma_classes.ESCAPES.get(letter)
        if ranges is not None:
            self.position += 2
            if self.ignore_case and letter in "wW":
                return self._word() if letter == "w" else _charset.complement(self._word())
            return ranges
        if letter not in ("p", "P"):
            return None
        match = re.compile(r"\\[pP]\{([^}]*)\}").match(self.pattern, start)
        if not self.unicode:
            if match is not None:
                # Legacy syntax reads \p{L} as the text "p{L}", which no author of a schema means.
                self._fail("\\p{...} needs Unicode mode, in which this pattern is invalid", start)
            return None
        if match is None:
            self._fail("\\p must be followed by {...}", start)
        self.position = match.end()
        try:
            ranges = _unicode.property_ranges(match.group(1))
        except KeyError:
            reason = f"the Unicode property {match.group(1)!r} is unknown or not supported"
            raise IrregularError(reason, start) from None
        return _charset.complement(ranges) if letter == "P" else ranges

    def _character_escape(self, in_class: bool) -> int:
        """Parse an escape of one character and return its code point."""
        start = self.position
        pattern = self.pattern
        letter = pattern[start + 1 : start + 2]
        if not letter:
            self._fail("the pattern ends in a backslash")
        self.position += 2
        if letter in _ecma_classes.CONTROLS:
            return _ecma_classes.CONTROLS[letter]
        if letter == "c":
            return self._control_escape(start, in_class)
        if letter == "x":
            digits = pattern[start + 2 : start + 4]
            if re.fullmatch("[0-9a-fA-F]{2}", digits):
                self.position = start + 4
                return int(digits, 16)
        elif letter == "u":
            code_point = self._unicode_escape(start)
            if code_point is not None:
                return code_point
        elif letter in "0123456789" and (not self.unicode or letter == "0"):
            return self._octal_escape(start)
        if not self.unicode or letter in "^$\\.*+?()[]{}|/" or (in_class and letter == "-"):
            return ord(letter)
        raise ProblemError(f"invalid escape \\{letter}", start)

    def _control_escape(self, start: int, in_class: bool) -> int:
        letter = self.pattern[start + 2 : start + 3]
        if re.fullmatch("[a-zA-Z]", letter) or (
            in_class and not self.unicode and re.fullmatch("[0-9_]", letter)
        ):
            self.position = start + 3
            return ord(letter) % 32
        if self.unicode:
            self._fail("\\c must be followed by a letter", start)
        self.position = start + 1
        return ord("\\")

    def _unicode_escape(self, start: int) -> int | None:
        pattern = self.pattern
        braced = re.compile(r"\\u\{([0-9a-fA-F]+)\}").match(pattern, start)
        if braced is not None:
            digits = braced.group(1).lstrip("0") or "0"
            if len(digits) > 6 or int(digits, 16) > _charset.MAX_CODE_POINT:
                self._fail("the code point is beyond U+10FFFF", start)
            self.position = braced.end()
            return int(digits, 16)
        plain = re.compile(r"\\u([0-9a-fA-F]{4})").match(pattern, start)
        if plain is None:
            if self.unicode:
                self._fail("invalid Unicode escape", start)
            return None
        self.position = plain.end()
        high = int(plain.group(1), 16)
        pair = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(pattern, self.position)
        if 0xD800 <= high <= 0xDBFF and pair is not None:
            self.position = pair.end()
            return 0x10000 + ((high - 0xD800) << 10) + (int(pair.group(1), 16) - 0xDC00)
        return high

    def _octal_escape(self, start: int) -> int:
        if self.unicode:
            if self.pattern[start + 2 : start + 3] in tuple("0123456789"):
                self._fail("invalid decimal escape", start)
            return 0
        match = re.compile(r"[0-3][0-7]{0,2}|[4-7][0-7]?").match(self.pattern, start + 1)
        if match is None:
            return ord(self.pattern[start + 1])
        self.position = match.end()
        return int(match.group(), 8)

    def _class(self) -> Node:
        pattern, start, end = self.pattern, self.position, len(self.pattern)
        self.position += 1
        negative = pattern.startswith("^", self.position)
        if negative:
            self.position += 1
        ranges: list[tuple[int, int]] = []
        while True:
            if self.position >= end:
                self._fail("the character class is never closed", start)
            if pattern[self.position] == "]":
                break
            item = self.position
            low = self._class_atom()
            following = pattern[self.position + 1 : self.position + 2]
            if pattern.startswith("-", self.position) and following and following != "]":
                self.position += 1
                high = self._class_atom()
                if isinstance(low, int) and isinstance(high, int):
                    if low > high:
                        self._fail("the range of the character class is out of order", item)
                    ranges.append((low, high))
                    continue
                if self.unicode:
                    self._fail("a range cannot end in a class such as \\d", item)
                ranges.append((ord("-"), ord("-")))
                ranges += [(high, high)] if isinstance(high, int) else high
            ranges += [(low, low)] if isinstance(low, int) else low
        self.position += 1
        return self._set(_charset.normalise(ranges), negative)

    def _class_atom(self) -> int | Ranges:
        character = self.pattern[self.position]
        if character != "\\":
            self.position += 1
            return ord(character)
        if self.pattern.startswith("\\b", self.position):
            self.position += 2
            return 8
        ranges = self._class_escape()
        return self._character_escape(True) if ranges is None else ranges
