"""From the syntax tree to builder calls.

What is regular becomes one regex, which is one terminal of the parser: masks of few large terminals are much
quicker than those of many small ones. Only what contains itself, other than as a loop, becomes rules. A rule
with a loop over a large class, as a string is, stays a terminal of its own wherever it is used, so that all
places share its tables.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ._ast import (
    UNBOUNDED,
    Alternatives,
    Characters,
    Literal,
    Node,
    Reference,
    Repeat,
    Rule,
    Sequence,
    children,
    references,
)
from ._limits import MAX_CHOICES, MAX_COPIES, MAX_DEPTH, limit_error
from ._recursion import components, is_nullable

if TYPE_CHECKING:
    from structgen._core import Builder

# Regexes nest no deeper than this; what is built of deeper ones becomes an expression.
_REGEX_DEPTH = 200
# A class is large from this many characters on, a counted repetition from this many times on.
_LARGE_CLASS = 1000
_MANY_TIMES = 64


class _Language(NamedTuple):
    """A language as a regex of the builder, as an expression, or both: the expression goes first then."""

    regex: int | None
    depth: int = 0  # of the regex
    expression: int | None = None


class Lowering:
    """Lowers the rules of a grammar without left recursion."""

    def __init__(self, builder: "Builder", rules: dict[str, Rule], nullable: set[str]) -> None:
        self._builder = builder
        self._rules = rules
        self._nullable = nullable
        self._languages: dict[str, _Language] = {}
        # Rules with large classes that are not terminals of their own.
        self._large: set[str] = set()
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
                language = self._lower(body)
                if language.expression is None and self._has_large_class(body, True):
                    language = language._replace(expression=self._expression(language))
                self._languages[name] = language
                if language.expression is None and self._has_large_class(body, False):
                    self._large.add(name)
                continue
            handles = {name: builder.rule() for name in component}
            self._languages.update((name, _Language(None, 0, handle)) for name, handle in handles.items())
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
                return _Language(builder.re_literal(text), 1)
            case Characters(ranges):
                return _Language(builder.re_chars(ranges), 1)
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
            case Alternatives(choices):
                return self._choice([self._lower_solid(option) for option in choices])
            case Repeat(body, low, high):
                return self._repeat(body, max(low, 1), high, solid=True)
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
            known = self._solid[name] = _Language(None, 0, handle)
        return known

    def _has_large_class(self, node: Node, repeated: bool) -> bool:
        """Tell whether a regular node has a large class, if need be one that is repeated many times."""
        match node:
            case Characters(ranges):
                return not repeated and sum(high - low + 1 for low, high in ranges) >= _LARGE_CLASS
            case Reference(name):
                return not repeated and name in self._large
            case Repeat(body, _, high):
                return self._has_large_class(body, repeated and -1 < high <= _MANY_TIMES)
            case _:
                return any(self._has_large_class(child, repeated) for child in children(node))

    def _is_regular(self, node: Node) -> bool:
        return all(self._languages[r.name].regex is not None for r in references(node))

    # -- languages -------------------------------------------------------------------------------------

    def _expression(self, language: _Language) -> int:
        if language.expression is not None:
            return language.expression
        assert language.regex is not None
        return self._builder.text(language.regex)

    def _sequence(self, parts: list[_Language]) -> _Language:
        if len(parts) == 1:
            return parts[0]
        builder = self._builder
        whole = _joined(builder.re_concat, parts)
        if whole is not None and all(part.expression is None for part in parts):
            return whole
        # Neighbours that are nothing but regexes become one terminal.
        groups: list[int] = []
        run: list[_Language] = []
        for part in [*parts, None]:
            if part is not None and part.expression is None and part.depth < _REGEX_DEPTH:
                run.append(part)
                continue
            if run:
                joined = _joined(builder.re_concat, run) if len(run) > 1 else run[0]
                assert joined is not None
                groups.append(self._expression(joined))
                run = []
            if part is not None:
                groups.append(self._expression(part))
        return _with_expression(whole, builder.sequence(groups))

    def _choice(self, options: list[_Language]) -> _Language:
        if len(options) == 1:
            return options[0]
        builder = self._builder
        whole = _joined(builder.re_union, options)
        if whole is not None and all(option.expression is None for option in options):
            return whole
        regular = [o for o in options if o.expression is None and o.depth < _REGEX_DEPTH]
        others = [self._expression(option) for option in options if option not in regular]
        union = _joined(builder.re_union, regular)
        assert union is not None
        return _with_expression(whole, builder.choice([self._expression(union), *others]))

    def _without_empty(self, language: _Language) -> _Language:
        builder = self._builder
        assert language.regex is not None
        some = builder.re_complement(builder.re_epsilon())
        return _Language(builder.re_intersection([language.regex, some]), language.depth + 1)

    def _repeat(self, body: Node, low: int, high: int, solid: bool = False) -> _Language:
        """Repeat a node; ``solid`` leaves the empty text out, for which ``low`` is 1 at least."""
        builder = self._builder
        language = self._lower(body)
        whole = None
        if not solid and language.regex is not None and language.depth < _REGEX_DEPTH:
            whole = _Language(builder.re_repeat(language.regex, low, high), language.depth + 1)
            if language.expression is None or max(low, high) > _MANY_TIMES:
                return whole
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
        return _with_expression(whole, builder.sequence([*[turn] * low, more]))

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


def _joined(join: Callable[[list[int]], int], parts: list[_Language]) -> _Language | None:
    """Join languages as regexes, unless one of them is none or they nest too deeply."""
    regexes = [part.regex for part in parts if part.regex is not None]
    depth = 1 + max((part.depth for part in parts), default=0)
    if len(regexes) < len(parts) or depth > _REGEX_DEPTH:
        return None
    return _Language(join(regexes), depth)


def _with_expression(whole: _Language | None, expression: int) -> _Language:
    return _Language(None, 0, expression) if whole is None else whole._replace(expression=expression)
