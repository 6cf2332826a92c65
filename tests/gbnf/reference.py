"""GBNF grammars as data: how they are written, and what they mean by brute force.

Nodes are tuples: ("literal", text), ("class", ranges, negated), ("any",), ("rule", number), ("sequence",
nodes), ("choice", nodes), ("repeat", node, low, high) with high = -1 for no bound. A grammar is a list of the
bodies of its rules; the first is the root.
"""

import random
from typing import Any

Node = tuple[Any, ...]
Grammar = list[Node]
Spans = set[tuple[int, int]]


# -- meaning -------------------------------------------------------------------------------------------------


def matches(grammar: Grammar, text: str) -> bool:
    """Tell whether the root matches the text: the least solution of the equations of all spans."""
    spans: list[Spans] = [set() for _ in grammar]
    while True:
        after = [_spans(body, spans, text) for body in grammar]
        if after == spans:
            return (0, len(text)) in spans[0]
        spans = after


def _spans(node: Node, rules: list[Spans], text: str) -> Spans:
    places = range(len(text) + 1)
    match node:
        case ("literal", word):
            return {(i, i + len(word)) for i in places if text.startswith(word, i)}
        case ("class", ranges, negated):
            held = [any(low <= ord(c) <= high for low, high in ranges) != negated for c in text]
            return {(i, i + 1) for i in range(len(text)) if held[i]}
        case ("any",):
            return {(i, i + 1) for i in range(len(text))}
        case ("rule", number):
            return rules[number]
        case ("sequence", items):
            found = {(i, i) for i in places}
            for item in items:
                found = _compose(found, _spans(item, rules, text))
            return found
        case ("choice", options):
            return set().union(*(_spans(option, rules, text) for option in options))
        case ("repeat", body, low, high):
            once = _spans(body, rules, text)
            found = {(i, i) for i in places}
            for _ in range(low):
                found = _compose(found, once)
            turns = high - low if high >= 0 else len(text) + 1
            for _ in range(turns):
                found = found | _compose(found, once)
            return found
    raise AssertionError(node)


def _compose(first: Spans, second: Spans) -> Spans:
    return {(i, k) for i, j in first for begin, k in second if j == begin}


def nullable(grammar: Grammar) -> set[int]:
    """Return the rules that match the empty text."""
    return {number for number in range(len(grammar)) if matches([("rule", number + 1), *_shift(grammar)], "")}


def _shift(grammar: Grammar) -> Grammar:
    """Add one to all rule numbers."""

    def shifted(part: Any) -> Any:
        if isinstance(part, tuple) and part and part[0] == "rule":
            return ("rule", part[1] + 1)
        if isinstance(part, (tuple, list)):
            return type(part)(shifted(p) for p in part)
        return part

    return [shifted(body) for body in grammar]


def left_recursive(grammar: Grammar) -> bool:
    """Tell whether a rule may begin with itself, loops being no recursion."""
    empty = nullable(grammar)

    def is_empty(node: Node) -> bool:
        return (0, 0) in _spans(node, [{(0, 0)} if i in empty else set() for i in range(len(grammar))], "")

    def begins(node: Node) -> set[int]:
        match node:
            case ("rule", number):
                return {number}
            case ("choice", options):
                return set().union(*(begins(option) for option in options))
            case ("repeat", body, _, high):
                return begins(body) if high else set()
            case ("sequence", items):
                found: set[int] = set()
                for item in items:
                    found |= begins(item)
                    if not is_empty(item):
                        break
                return found
        return set()

    reach = [begins(body) for body in grammar]
    for _ in grammar:
        reach = [found.union(*(reach[i] for i in found)) for found in reach]
    return any(number in found for number, found in enumerate(reach))


# -- writing -------------------------------------------------------------------------------------------------


def written(grammar: Grammar, rng: random.Random) -> str:
    """Write the grammar in one of the many ways that the format allows."""
    writer = _Writer(rng)
    rules = []
    for number, body in enumerate(grammar):
        name, options = writer.name(number), writer.node(body, "choice", False)
        rules.append(name + writer.blank() + "::=" + writer.space(True) + options)
    ends = ["\n", "\r\n", "\n\n", " \n", ' # "a ::= (\n', "\n# ) comment\n\t"]
    return writer.space(True) + "".join(rule + rng.choice(ends) for rule in rules[::-1])


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def name(self, number: int) -> str:
        return "root" if number == 0 else ["x", "9-Lives", "rule_2", "A"][number % 4] + str(number)

    def blank(self) -> str:
        return self._rng.choice(["", " ", "\t", "  "])

    def space(self, nested: bool) -> str:
        ends = ["\n", "\r\n", '# a comment " ] )\n', "\n\n  "] if nested else []
        return self._rng.choice(["", "", " ", "\t ", *ends])

    def node(self, node: Node, place: str, nested: bool) -> str:
        """Write a node where a "choice", a "sequence" or an "item" can stand."""
        match node:
            case ("choice", options) if place == "choice":
                bar = "|" + self.space(True)
                return (self.space(nested) + bar).join(self.node(o, "sequence", nested) for o in options)
            case ("sequence", ()) if place != "item":
                # Nothing at all is at home in groups: outside, the line end after it would not count.
                return self._rng.choice(["", '""', "()"] if nested else ['""', "()"])
            case ("sequence", (only,)) if place != "item":
                return self.node(only, "item", nested)
            case ("sequence", items) if place != "item":
                # A blank keeps names apart.
                return (" " + self.space(nested)).join(self.node(item, "item", nested) for item in items)
            case ("repeat", body, low, high):
                inner = self.node(body, "item", nested)
                return inner + self.space(nested) + self.times(low, high, nested)
            case ("literal", text):
                return '"' + "".join(self.character(c, '"\\') for c in text) + '"'
            case ("class", ranges, negated):
                return "[" + "^" * negated + "".join(self.range(*r) for r in ranges) + "]"
            case ("any",):
                return "."
            case ("rule", number):
                return self.name(number)
        return "(" + self.space(True) + self.node(node, "choice", True) + self.space(True) + ")"

    def times(self, low: int, high: int, nested: bool) -> str:
        short = {(0, -1): "*", (1, -1): "+", (0, 1): "?"}.get((low, high))
        if short and self._rng.random() < 0.8:
            return short
        a, b = self.space(nested), self.space(nested)
        if low == high and self._rng.random() < 0.7:
            return f"{{{a}{low}{b}}}"
        return f"{{{a}{low}{b},{a}{'' if high < 0 else high}{b}}}"

    def range(self, low: int, high: int) -> str:
        special = '"\\]^-['
        if low == high:
            return self.character(chr(low), special)
        return self.character(chr(low), special) + "-" + self.character(chr(high), special)

    def character(self, character: str, special: str) -> str:
        code = ord(character)
        named = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"', "[": "\\[", "]": "\\]"}
        ways = [f"\\U{code:08X}"]
        if code < 0x10000:
            ways.append(f"\\u{code:04x}")
        if code < 0x100:
            ways.append(f"\\x{code:02X}")
        if character in named:
            ways += [named[character]] * 3
        if character == "-":
            ways += ["\\-"]
        if character not in special and not 0xD800 <= code <= 0xDFFF:
            ways += [character] * 5
        return self._rng.choice(ways)
