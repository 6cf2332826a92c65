"""From the syntax tree to builder calls.

What is regular becomes one regex, which is one terminal of the parser: masks of few large terminals are much quicker
than those of many small ones. Only what contains itself, other than as a loop, becomes rules of the parser.
"""

from typing import TYPE_CHECKING, NamedTuple

from ._ast import (
    EMPTY,
    UNBOUNDED,
    Alternatives,
    Characters,
    Literal,
    Node,
    Reference,
    Repeat,
    Rule,
    Sequence,
    references,
    sequence,
)
from ._limits import MAX_CHOICES, MAX_COPIES, MAX_DEPTH, limit_error
from ._recursion import components, is_nullable

if TYPE_CHECKING:
    from structgen._core import Builder

# Regexes nest no deeper than this; what is built of deeper ones becomes an expression.
_REGEX_DEPTH = 200


class _Regular(NamedTuple):
    """A language as a regex of the builder, and how deep it nests."""

    regex: int
    depth: int


class _Parsed(NamedTuple):
    """A language as an expression of the builder."""

    expression: int


_Language = _Regular | _Parsed


class Lowering:
    """Lowers the rules of a grammar without left recursion."""

    def __init__(self, builder: "Builder", rules: dict[str, Rule], nullable: set[str]) -> None:
        self._builder = builder
        self._rules = rules
        self._nullable = nullable
        self._languages: dict[str, _Language] = {}
        # The texts of a rule that are not empty, where a loop needs them; and those still to be defined.
        self._solid: dict[str, _Language] = {}
        self._undefined: list[tuple[str, int]] = []
        self._copies = 0

    def lower(self, root: str) -> int:
        """Lower what the root needs; return its expression."""
        builder = self._builder
        for component in components(self._rules, root):
            (name, *others) = component
            body = self._rules[name].body
            if not others and all(reference.name != name for reference in references(body)):
                self._languages[name] = self._lower(body)
                continue
            handles = {name: builder.rule() for name in component}
            self._languages.update((name, _Parsed(handle)) for name, handle in handles.items())
            for name, handle in handles.items():
                builder.define(handle, self._expression(self._lower(self._rules[name].body)))
        while self._undefined:
            name, handle = self._undefined.pop()
            builder.define(handle, self._expression(self._lower_solid(self._rules[name].body)))
        return self._expression(self._languages[root])

    # -- nodes -----------------------------------------------------------------------------------------

    def _lower(self, node: Node) -> _Language:
        builder = self._builder
        match node:
            case Literal(text):
                return _Regular(builder.re_literal(text), 1)
            case Characters(ranges):
                return _Regular(builder.re_chars(ranges), 1)
            case Reference(name):
                return self._languages[name]
            case Sequence(items):
                return self._sequence([self._lower(item) for item in items])
            case Alternatives(options):
                return self._choice([self._lower(option) for option in options])
            case Repeat(body, low, high):
                return self._repeat(body, low, high)

    def _lower_solid(self, node: Node) -> _Language:
        """Lower what a node matches besides the empty text."""
        if not is_nullable(node, self._nullable):
            return self._lower(node)
        if self._is_regular(node):
            return self._without_empty(self._lower(node))
        match node:
            case Reference(name):
                return self._solid_rule(name)
            case Alternatives(options):
                return self._choice([self._lower_solid(option) for option in options])
            case Repeat(body, low, high):
                return self._repeat(body, max(low, 1), high, solid=True) if high else self._choice([])
            case Sequence(items):
                # The first item that is not empty, and all that comes after it.
                options = [self._lower_solid(items[-1])]
                rest = [self._lower(items[-1])]
                for item in reversed(items[:-1]):
                    options.append(self._sequence([self._lower_solid(item), self._sequence(rest)]))
                    rest = [self._lower(item), *rest]
                return self._choice(options)
        raise AssertionError(node)

    def _solid_rule(self, name: str) -> _Language:
        known = self._solid.get(name)
        if known is None:
            handle = self._builder.rule()
            self._undefined.append((name, handle))
            known = self._solid[name] = _Parsed(handle)
        return known

    def _is_regular(self, node: Node) -> bool:
        return all(isinstance(self._languages[r.name], _Regular) for r in references(node))

    # -- languages -------------------------------------------------------------------------------------

    def _expression(self, language: _Language) -> int:
        match language:
            case _Regular(regex):
                return self._builder.text(regex)
            case _Parsed(expression):
                return expression

    def _sequence(self, parts: list[_Language]) -> _Language:
        if len(parts) == 1:
            return parts[0]
        groups: list[_Language] = []
        run: list[_Regular] = []
        for part in parts:
            if isinstance(part, _Regular) and part.depth < _REGEX_DEPTH:
                run.append(part)
                continue
            if run:
                groups.append(self._concat(run))
                run = []
            groups.append(part)
        if run or not groups:
            groups.append(self._concat(run))
        if len(groups) == 1:
            return groups[0]
        return _Parsed(self._builder.sequence([self._expression(group) for group in groups]))

    def _concat(self, parts: list[_Regular]) -> _Regular:
        if len(parts) == 1:
            return parts[0]
        depth = 1 + max((part.depth for part in parts), default=0)
        return _Regular(self._builder.re_concat([part.regex for part in parts]), depth)

    def _choice(self, options: list[_Language]) -> _Language:
        if len(options) == 1:
            return options[0]
        regular = [o for o in options if isinstance(o, _Regular) and o.depth < _REGEX_DEPTH]
        others = [o for o in options if not (isinstance(o, _Regular) and o.depth < _REGEX_DEPTH)]
        if regular or not others:
            depth = 1 + max((option.depth for option in regular), default=0)
            regex = self._builder.re_union([option.regex for option in regular])
            others.insert(0, _Regular(regex, depth))
        if len(others) == 1:
            return others[0]
        return _Parsed(self._builder.choice([self._expression(option) for option in others]))

    def _without_empty(self, language: _Language) -> _Language:
        match language:
            case _Regular(regex, depth):
                builder = self._builder
                some = builder.re_complement(builder.re_epsilon())
                return _Regular(builder.re_intersection([regex, some]), depth + 1)
        raise AssertionError(language)

    def _repeat(self, body: Node, low: int, high: int, solid: bool = False) -> _Language:
        """Repeat a node; ``solid`` leaves the empty text out, for which ``low`` is 1 at least."""
        builder = self._builder
        language = self._lower(body)
        if high == 0:
            return _Regular(builder.re_epsilon(), 1)
        if not solid and isinstance(language, _Regular) and language.depth < _REGEX_DEPTH:
            return _Regular(builder.re_repeat(language.regex, low, high), language.depth + 1)
        if is_nullable(body, self._nullable):
            # An empty turn is no turn, so that a turn can't be empty.
            language, low = self._lower_solid(body), int(solid)
        if (low, high) == (1, 1):
            return language
        turn = self._expression(language)
        self._copies += max(low, high)
        if self._copies > MAX_COPIES:
            what = "what holds a recursive rule is repeated too many times"
            raise limit_error(what, "max_copies", MAX_COPIES)
        if high == UNBOUNDED:
            more = builder.rule()
            builder.define(more, builder.choice([builder.empty(), builder.sequence([turn, more])]))
        else:
            more = builder.empty()
            for _ in range(high - low):
                more = builder.choice([builder.empty(), builder.sequence([turn, more])])
        return _Parsed(builder.sequence([*[turn] * low, more]))

    # -- limits ----------------------------------------------------------------------------------------

    def check_beginnings(self, order: list[str]) -> None:
        """Refuse grammars whose parser would take too long to see what can come next.

        Parameters
        ----------
        order : list of str
            The rules, each after those that it may begin with.
        """
        known: dict[str, tuple[int, int]] = {}
        for name in order:
            if name not in self._languages:
                continue
            choices, depth = known[name] = self._beginnings(self._rules[name].body, known)
            if choices > MAX_CHOICES:
                what = f"rule {name!r} can begin in too many ways"
                raise limit_error(what, "max_choices", MAX_CHOICES)
            if depth > MAX_DEPTH:
                what = f"rule {name!r} begins with too many rules that begin with one another"
                raise limit_error(what, "max_depth", MAX_DEPTH)

    def _beginnings(self, node: Node, known: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """Return how many terminals a node may begin with, and how deep they are."""
        if self._is_regular(node):
            return 1, 1
        match node:
            case Reference(name):
                choices, depth = known[name]
                return choices, depth + 1
            case Repeat(body):
                choices, depth = self._beginnings(body, known)
                return choices, depth + 3
            case Alternatives(options):
                parts = [self._beginnings(option, known) for option in options]
            case Sequence(items):
                parts = []
                for item in items:
                    parts.append(self._beginnings(item, known))
                    if not is_nullable(item, self._nullable):
                        break
                # Each of them stays open until the ones before it have ended or are seen to be empty.
                parts = [(choices * (i + 1), depth) for i, (choices, depth) in enumerate(parts)]
            case _:
                return 1, 1
        return sum(choices for choices, _ in parts), 1 + max(depth for _, depth in parts)
