"""The lowering: from conjunctions of schema nodes to expressions of the core.

What a place in a document demands is a conjunction of schemas: the value of a property must satisfy what
every member of an ``allOf`` says about it. A conjunction is a set of nodes, told apart by identity; it is
merged into one typed shape, and each shape becomes one expression. Results are memoised by the set, which
also ends recursion: a conjunction met again while it is being lowered becomes a rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from structgen._errors import LimitError, RegexError, SchemaError, UnsatisfiableSchemaError
from structgen._frontends.regex import lower_ecma

from . import _arrays, _cases, _enum, _objects, _scalars
from ._alternatives import Alternatives
from ._attempts import Attempts
from ._disjoint import Disjointness
from ._guards import Guards, known_regexes
from ._keywords import KEYWORDS, REFERENCE_ONLY, keywords_of, not_a_schema
from ._numbers import NumberRegexes
from ._options import Options
from ._resolve import Document
from ._shapes import ALL_TYPES, ARRAY, BOOLEAN, NULL, NUMBER, OBJECT, STRING, TYPE_BITS, Path, Shape
from ._synthetic import SyntheticSchemas
from ._truth import Truth

if TYPE_CHECKING:
    from structgen._core import Builder

# Schemas nested deeper than this are lowered from a work list, which keeps Python's stack small.
_INLINE_DEPTH = 32

# Schemas that apply to one value (anyOf in anyOf, references to references) may nest this deep.
_SAME_VALUE_DEPTH = 64

# What can make a node the root of a resource of its own.
_NAMING = frozenset(("$id", "$schema", "id"))

_REFERENCE_ALONE = ("4", "6", "7")

# The keywords of any draft, for a reference may lead into another one; and the one that says so.
_CONSTRAINING = frozenset().union(*KEYWORDS.values(), ("$schema",)) - {"type"}

Key = int | frozenset[int]


class Lowering:
    """One schema document on its way into one builder."""

    def __init__(self, document: Document, builder: Builder, options: Options, whitespace: int) -> None:
        self.document = document
        self.builder = builder
        self.options = options
        self.whitespace = whitespace
        self.nothing = builder.nothing()
        # Draft 4 tells integers by their spelling; later drafts by their value, which "all" spells freely.
        self.integers_have_digits_only = document.draft == "4" or not options.all_numbers
        self.handlers = KEYWORDS[document.draft]
        self._constraining = _CONSTRAINING | {"nullable"} if options.nullable else _CONSTRAINING
        # Handles of the schemas that are only a type, by its name.
        self._by_type: dict[str, int] = {}
        self._reference_alone = document.draft in _REFERENCE_ALONE
        # Handles by conjunction; a negative entry -1 - level marks one that is being lowered.
        self.memo: dict[Key, int] = {}
        self.shared: dict[Any, int] = {}
        # Nesting depth, in values, of what is being lowered.
        self.level = 0
        # A node of the conjunction that is being lowered, for errors that no keyword alone causes.
        self.node: Any = document.root
        # The nodes between the conjunction that is being merged and the node at hand.
        self.path: Path = ()
        self._same_value_depth = 0
        self._limit_place: str | None = None
        self._rules: dict[Key, int] = {}
        self._waiting: list[tuple[Key, tuple[Any, ...], int]] = []
        self._patterns: dict[str, int] = {}
        self._known = known_regexes(builder.tables)
        self._numbers: NumberRegexes | None = None
        # How keywords are enforced that are not simply exact, by the id of their node and their name.
        self.notes: dict[tuple[int, str], tuple[Any, str, str]] = {}
        # Arrays of distinct items: the node with uniqueItems, and the schemas of each item and of the others.
        self.distinct_items: list[tuple[Any, list[list[Any]]]] = []
        # The nodes with keywords about members or items, by the expression of their objects or arrays.
        self.nodes_of: dict[int, tuple[Any, ...]] = {}
        self._multiples: dict[Decimal, int] = {}
        self._dead: list[tuple[Any, str | None, str]] = []
        self._nodes = 0
        self._branches = 0
        # The conjunctions in the order in which they were begun.
        self.journal: list[Key] = []
        self._deadline = time.monotonic() + options.max_compile_seconds
        builder.json_style(whitespace, options.all_escapes)

    # -- parts that many schemas do without ------------------------------------------------

    @cached_property
    def truth(self) -> Truth:
        """The formulas of schemas."""
        return Truth(self)

    @cached_property
    def disjointness(self) -> Disjointness:
        """Proofs that schemas exclude each other."""
        return Disjointness(self)

    @cached_property
    def guards(self) -> Guards:
        """Checks that no automaton can do."""
        return Guards(self)

    @property
    def asks(self) -> bool:
        """Whether guards of the automaton will ask about schemas of the document."""
        return "guards" in self.__dict__ and self.guards.asks

    @cached_property
    def alternatives(self) -> Alternatives:
        """What ``oneOf`` and ``if`` tell apart."""
        return Alternatives(self)

    @cached_property
    def attempts(self) -> Attempts:
        """The budget of claims with many cases."""
        return Attempts(self)

    @cached_property
    def synthetic(self) -> SyntheticSchemas:
        """Schemas that stand in no document."""
        return SyntheticSchemas(self)

    # -- the document ----------------------------------------------------------------------

    def lower_document(self) -> int:
        """Lower the root and everything that it reaches."""
        start = self.lower(self.document.root)
        while self._waiting:
            key, nodes, rule = self._waiting.pop()
            self.level = 0
            self.memo[key] = -1
            self._rules[key] = rule
            self.builder.define(rule, self._body(nodes))
            self.memo[key] = rule
        if start == self.nothing:
            raise self.unsatisfiable()
        return start

    def state(self) -> tuple[Any, ...]:
        """Return where the lowering is, for :meth:`take_back`."""
        place = self.level, self.node, self.path, self._same_value_depth, self._branches
        return len(self.journal), len(self._waiting), place

    def take_back(self, state: tuple[Any, ...]) -> None:
        """Forget what has been lowered since; nothing else may refer to it."""
        journal, waiting, place = state
        self.level, self.node, self.path, self._same_value_depth, self._branches = place
        unfinished = [rule for _, _, rule in self._waiting[waiting:]]
        del self._waiting[waiting:]
        for key in self.journal[journal:]:
            self.memo.pop(key, None)
            if key in self._rules:
                unfinished.append(self._rules.pop(key))
        del self.journal[journal:]
        # Nothing refers to these rules any more, but the core wants every rule defined.
        for rule in unfinished:
            self.builder.define(rule, self.nothing)

    # -- errors ----------------------------------------------------------------------------

    def error(self, node: Any, keyword: str | None, reason: str, hint: str | None = None) -> SchemaError:
        """Build the error for a keyword of a node (of a node itself when there is no keyword)."""
        return self.document.error(node, keyword, reason, hint)

    def limit(self, node: Any, keyword: str | None, reason: str, limit: str | None = None) -> LimitError:
        """Build the error for a limit that a keyword of a node (or the node itself) reaches."""
        value = None if limit is None else getattr(self.options, limit)
        more = "" if limit is None else f"; the limit {limit} is {value}"
        self._limit_place = self.document.pointer(node, *(() if keyword is None else (keyword,)))
        return LimitError(f"{reason}{more}", limit=limit, value=value)

    def located(self, error: LimitError) -> LimitError:
        """Say where a limit was reached, be it one of ours or one of the core's."""
        place = self.document.pointer(self.node) if self._limit_place is None else self._limit_place
        where = f"at {place!r}" if place else "at the root"
        return LimitError(f"{where}: {error}", limit=error.limit, value=error.value, pointer=place)

    def too_deep(self, node: Any) -> LimitError:
        """Build the error for schemas that apply to one value and nest too deeply."""
        self._limit_place = self.document.pointer(node)
        return LimitError(
            f"more than {_SAME_VALUE_DEPTH} schemas inside each other apply to one value",
            value=_SAME_VALUE_DEPTH,
        )

    def dead(self, node: Any, keyword: str | None, reason: str) -> int:
        """Note why a subschema is unsatisfiable; return the expression for no value."""
        self._dead.append((node, keyword, reason))
        return self.nothing

    def unsatisfiable(self) -> UnsatisfiableSchemaError:
        """Build the error for a document without values; it names the culprit when there is just one."""
        if len(self._dead) != 1:
            return UnsatisfiableSchemaError("no value satisfies the schema")
        node, keyword, reason = self._dead[0]
        if keyword is not None and keyword not in node:
            keyword = None
        pointer = self.document.pointer(node, *(() if keyword is None else (keyword,)))
        return UnsatisfiableSchemaError(
            f"no value satisfies the schema: {reason}", pointer=pointer, keyword=keyword
        )

    # -- conjunctions ----------------------------------------------------------------------

    def child(self, node: Any) -> int:
        """Lower the schema of a property or an item; the caller has raised ``level`` for it."""
        handle = self.memo.get(id(node))
        if handle is not None and handle >= 0:
            return handle
        if handle is None and isinstance(node, dict):
            if not self.document.mixed and self._constraining.isdisjoint(node):
                # Most schemas of a property say a type and, but for annotations, nothing else.
                name = node.get("type")
                if isinstance(name, str) and name in TYPE_BITS:
                    handle = self._by_type.get(name)
                    if handle is None:
                        handle = self._by_type[name] = self.types_only(TYPE_BITS[name])
                    return handle
            if self.level + self._same_value_depth > _INLINE_DEPTH:
                return self._later(id(node), (node,))
        return self.lower(node)

    def child_all(self, nodes: list[Any]) -> int:
        """Lower the conjunction of several schemas of a property or an item."""
        distinct = {id(node): node for node in nodes if node is not True and node != {}}
        if not distinct:
            return self.any_value()
        if len(distinct) == 1:
            return self.child(next(iter(distinct.values())))
        if any(node is False for node in distinct.values()):
            return self.nothing
        key = frozenset(distinct)
        handle = self.memo.get(key)
        if handle is not None and handle >= 0:
            return handle
        if handle is None and self.level + self._same_value_depth > _INLINE_DEPTH:
            return self._later(key, tuple(distinct.values()))
        return self._lower_once(key, tuple(distinct.values()))

    def lower(self, node: Any) -> int:
        """Lower one schema."""
        handle = self.memo.get(id(node))
        if handle is not None and handle >= 0:
            return handle
        if node is True:
            return self.any_value()
        if node is False:
            return self.nothing
        return self._lower_once(id(node), (node,))

    def _later(self, key: Key, nodes: tuple[Any, ...]) -> int:
        rule = self.builder.rule()
        self.memo[key] = rule
        self.journal.append(key)
        self._waiting.append((key, nodes, rule))
        return rule

    def _lower_once(self, key: Key, nodes: tuple[Any, ...]) -> int:
        entered = self.memo.get(key)
        if entered is not None:
            if entered == -1 - self.level:
                raise self.error(nodes[0], None, "the schema refers to itself for one and the same value")
            rule = self._rules.get(key)
            if rule is None:
                rule = self._rules[key] = self.builder.rule()
            return rule
        self.memo[key] = -1 - self.level
        self.journal.append(key)
        body = self._body(nodes)
        rule = self._rules.pop(key, None)
        if rule is not None:
            self.builder.define(rule, body)
            body = rule
        self.memo[key] = body
        return body

    def _body(self, nodes: tuple[Any, ...]) -> int:
        self._count(nodes[0])
        outer, self.node = self.node, nodes[0]
        handle = self._lower_nodes(nodes)
        self.node = outer
        return handle

    def _lower_nodes(self, nodes: tuple[Any, ...]) -> int:
        shape = Shape()
        if len(nodes) == 1:
            self.path = ()
            self._absorb(shape, nodes[0])
            if shape.claims:
                self.alternatives.untangle(shape)
            handle = self._plain(shape)
            if handle is not None:
                return handle
            fed = {id(nodes[0])}
            self.feed(shape, fed, [(node, (id(nodes[0]),)) for _, _, node in self._take_pending(shape)])
        else:
            fed = set()
            self.feed(shape, fed, [(node, ()) for node in nodes])
        branches, self._branches = self._branches, 0
        handle = self.expand(shape, fed)
        self._branches = branches
        return handle

    def _plain(self, shape: Shape) -> int | None:
        """Lower a shape of one node that needs no merging; None for any other shape."""
        constraints = shape.__dict__
        if not constraints:
            return self.any_value()
        if len(constraints) == 1:
            if "types" in constraints:
                return self.types_only(shape.types)
            if "pending" in constraints and len(shape.pending) == 1:
                return self._same_value(shape.pending[0][2])
            if "any_of" in constraints and len(shape.any_of) == 1:
                return self.choice([self._same_value(branch) for branch in shape.any_of[0][1]])
        if "pending" in constraints or "any_of" in constraints or "claims" in constraints:
            return None
        return self.lower_shape(shape)

    def _same_value(self, node: Any) -> int:
        """Lower a schema for the value that another one is being lowered for."""
        if self._same_value_depth >= _INLINE_DEPTH + _SAME_VALUE_DEPTH:
            raise self.too_deep(node)
        self._same_value_depth += 1
        handle = self.lower(node)
        self._same_value_depth -= 1
        return handle

    def _absorb(self, shape: Shape, node: Any) -> None:
        """Merge the keywords of one node into ``shape``; its conjuncts stay pending."""
        if not isinstance(node, dict):
            raise not_a_schema(node, self.document.pointer(node))
        self.path = (*self.path, id(node))
        if self.document.mixed or not _NAMING.isdisjoint(node):
            dialect = self.document.dialect_of(node)
            alone, handlers = dialect.draft in _REFERENCE_ALONE, keywords_of(dialect)
        else:
            alone, handlers = self._reference_alone, self.handlers
        if alone and "$ref" in node:
            handlers = REFERENCE_ONLY
        for keyword, value in node.items():
            handler = handlers.get(keyword)
            if handler is not None:
                handler(self, shape, node, value)

    def handlers_of(self, node: Any) -> dict[str, Any]:
        """Return the keywords of the dialect of a node."""
        return keywords_of(self.document.dialect_of(node))

    def refers(self, node: Any) -> bool:
        """Tell whether a node is a reference beside which nothing else counts."""
        return "$ref" in node and self.document.draft_of(node) in _REFERENCE_ALONE

    def has_keyword(self, node: Any, keyword: str) -> bool:
        """Tell whether a node has a keyword that its draft knows."""
        return keyword in node and keyword in self.handlers_of(node) and not self.refers(node)

    def items_of(self, node: Any) -> tuple[list[Any], Any]:
        """Return the schemas of the first items and the schema of the others."""
        items = node.get("items", True)
        if self.document.draft_of(node) == "2020-12":
            return node.get("prefixItems", []), items
        if isinstance(items, list):
            return items, node.get("additionalItems", True)
        return [], items

    def parse(self, node: Any) -> Shape:
        """Return the keywords of one node as a shape, apart from what is being lowered."""
        outer, self.path = self.path, ()
        shape = Shape()
        self._absorb(shape, node)
        self.path = outer
        return shape

    def merge(self, nodes: list[Any]) -> Shape:
        """Return the conjunction of nodes as a shape, apart from what is being lowered."""
        outer, self.path = self.path, ()
        shape = Shape()
        self.feed(shape, set(), [(node, ()) for node in nodes])
        self.path = outer
        return shape

    @staticmethod
    def _take_pending(shape: Shape) -> tuple[tuple[Any, str, Any], ...]:
        pending = shape.pending
        if pending:
            del shape.pending
        return pending

    def feed(self, shape: Shape, fed: set[int], nodes: list[tuple[Any, Path]]) -> None:
        """Merge nodes and, in turn, everything that they are conjunctions of."""
        stack = nodes[::-1]
        while stack:
            node, path = stack.pop()
            if node is True:
                continue
            if node is False:
                shape.types = 0
                continue
            if len(path) > _SAME_VALUE_DEPTH:
                raise self.too_deep(node)
            if id(node) in path:
                raise self.error(node, None, "the schema refers to itself for one and the same value")
            if id(node) in fed:
                continue
            fed.add(id(node))
            self.path = path
            self._absorb(shape, node)
            path = self.path
            stack.extend((other, path) for _, _, other in reversed(self._take_pending(shape)))

    def expand(self, shape: Shape, fed: set[int]) -> int:
        """Distribute the conjunction over the branches of its ``anyOf`` keywords, one keyword at a time."""
        if not shape.types:
            return self.nothing
        if shape.claims:
            self.alternatives.untangle(shape)
            self.alternatives.decide(shape, fed)
        if len(shape.any_of) > 1:
            self.alternatives.postpone(shape)
        if not shape.any_of:
            return self.lower_shape(shape)
        node, branches, path = shape.any_of[0]
        parts = []
        for branch in branches:
            self._branches += 1
            if self._branches > self.options.max_branches:
                raise self.limit(node, "anyOf", "too many combinations of branches", "max_branches")
            self._count(node)
            merged = shape.copy()
            merged.any_of = shape.any_of[1:]
            known = set(fed)
            self.feed(merged, known, [(branch, path)])
            parts.append(self.expand(merged, known))
        return self.choice(parts)

    # -- limits ------------------------------------------------------------------------------

    def _count(self, node: Any) -> None:
        self._nodes += 1
        if self._nodes > self.options.max_schema_nodes:
            raise LimitError(
                f"the schema needs more than {self.options.max_schema_nodes} conjunctions; "
                "the limit is max_schema_nodes",
                limit="max_schema_nodes",
                value=self.options.max_schema_nodes,
            )
        if not self._nodes & 63:
            self.check_time()

    def check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise LimitError(
                f"lowering the schema took more than {self.options.max_compile_seconds} seconds; "
                "the limit is max_compile_seconds",
                limit="max_compile_seconds",
                value=self.options.max_compile_seconds,
            )

    # -- shapes ----------------------------------------------------------------------------

    def lower_shape(self, shape: Shape) -> int:
        """Lower a shape whose ``anyOf`` keywords have been distributed."""
        if shape.enums:
            return _enum.lower_enum(self, shape)
        if shape.claims or shape.contains:
            return _cases.lower_claims(self, shape)
        types = shape.types
        parts = []
        if types & NULL:
            parts.append(self.null())
        if types & BOOLEAN:
            parts.append(self.boolean())
        if types & STRING:
            parts.append(_scalars.lower_string(self, shape))
        if types & NUMBER:
            parts.append(_scalars.lower_number(self, shape))
        if types & ARRAY:
            parts.append(_arrays.lower_array(self, shape))
        if types & OBJECT:
            parts.append(_objects.lower_object(self, shape))
        return self.choice(parts)

    def types_only(self, types: int) -> int:
        """Return the expression for every value of some types."""
        handle = self.shared.get(types)
        if handle is None:
            if types == ALL_TYPES:
                return self.any_value()
            shape = Shape()
            shape.types = types
            handle = self.shared[types] = self.lower_shape(shape)
        return handle

    def choice(self, parts: list[int]) -> int:
        """Return the union of expressions."""
        if len(parts) == 1:
            return parts[0]
        distinct = dict.fromkeys(parts)
        distinct.pop(self.nothing, None)
        if len(distinct) < 2:
            return next(iter(distinct), self.nothing)
        return self.builder.choice(list(distinct))

    def any_value(self) -> int:
        """Return the expression for every JSON value."""
        handle = self.shared.get("value")
        if handle is None:
            handle = self.shared["value"] = self.builder.rule()
            level, self.level = self.level, 0
            body = self.lower_shape(Shape())
            self.level = level
            self.builder.define(handle, body)
        return handle

    def null(self) -> int:
        """Return the expression for null."""
        handle = self.shared.get("null")
        if handle is None:
            regex = self.regex("null", lambda: self.builder.re_literal("null"))
            handle = self.shared["null"] = self.builder.lexeme(regex)
        return handle

    def boolean(self) -> int:
        """Return the expression for true and false."""
        handle = self.shared.get("boolean")
        if handle is None:
            regex = self.regex("boolean", lambda: self.builder.re_words(["false", "true"]))
            handle = self.shared["boolean"] = self.builder.lexeme(regex)
        return handle

    # -- pieces that keywords share --------------------------------------------------------

    @property
    def numbers(self) -> NumberRegexes:
        """The regexes of numbers, made when the first number is met."""
        if self._numbers is None:
            self._numbers = NumberRegexes(self.builder)
        return self._numbers

    def regex(self, name: str, make: Callable[[], int]) -> int:
        """Return a regex that no schema changes: it is made once for all builders of the same tables."""
        regex = self._known.get(name)
        if regex is None:
            regex = self._known[name] = make()
        return regex

    def any_text(self) -> int:
        """Return the regex of every string."""
        return self.regex("any text", lambda: self.builder.re_repeat(self.builder.re_any(), 0, -1))

    def scalar(self, regex: int) -> int:
        """Return the expression of a number, true, false or null spelled by a regex."""
        return self.nothing if self.builder.re_is_empty(regex) else self.builder.lexeme(regex)

    def check_schema(self, node: Any, keyword: str, value: Any) -> None:
        """Refuse a keyword's value that is no schema."""
        if not isinstance(value, (dict, bool)):
            raise self.error(node, keyword, "the value must be a schema")

    def note(self, node: Any, keyword: str, status: str, reason: str) -> None:
        """Remember how a keyword is enforced, where it is not simply exact."""
        self.notes[id(node), keyword] = (node, status, reason)

    def multiples(self, node: Any, value: Decimal) -> int:
        """Return the regex of the multiples of a number."""
        regex = self._multiples.get(value)
        if regex is None:
            try:
                regex = self._multiples[value] = self.numbers.multiples_of(value, self.options.all_numbers)
            except LimitError:
                self._limit_place = self.document.pointer(node, "multipleOf")
                raise
        return regex

    def pattern(self, node: Any, keyword: str, pattern: str, *keys: str) -> int:
        """Return the regex of the strings in which an ECMA-262 pattern is found."""
        regex = self._patterns.get(pattern)
        if regex is None:
            try:
                regex = lower_ecma(pattern, self.builder)
            except RegexError as error:
                raise SchemaError(
                    str(error), pointer=self.document.pointer(node, keyword, *keys), keyword=keyword
                ) from error
            except LimitError:
                self._limit_place = self.document.pointer(node, keyword)
                raise
            self._patterns[pattern] = regex
        return regex
