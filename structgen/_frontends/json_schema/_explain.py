"""How each keyword of a schema is enforced, as a run of the lowering tells."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

from structgen._errors import LimitError, SchemaError, StructgenError, UnsatisfiableSchemaError

from . import lower_start, new_lowering
from ._keywords import KEYWORDS
from ._lower import Lowering
from ._names import COMPANIONS, describe, likely_type, similar_format
from ._options import Options
from ._places import Place, Places, pointers_of
from ._resolve import Document
from ._shapes import ARRAY, FRACTION, NUMBER, OBJECT, Claim

if TYPE_CHECKING:
    from structgen._core import Builder

# Refusals that are looked for; each takes one more run.
_MAX_REFUSALS = 100

# Alternatives nested in alternatives that are looked into for what items can be.
_MAX_ALTERNATIVES = 200

Status = Literal["exact", "guarded", "annotation", "refused"]

Row = tuple[str, str | None, Status, str, str | None]

_EXACT = "built into the automaton"
_DISTINCT = "items that are objects, arrays or numbers with exponents are compared when they end"
_CLAIMED = "its cases are too many to tell apart; it is checked when the value ends"
_UNUSED = "nothing applies this schema"

# Keywords that are decided together, and those that the lowering writes as other schemas.
_COUNTS = ("contains", "minContains", "maxContains")
_CONDITIONS = ("if", "then", "else")
_REWRITTEN = (*_CONDITIONS, "oneOf", "anyOf", "dependencies", "dependentRequired", "dependentSchemas")

# Different unknown keywords that are compared with those of a draft.
_MAX_COMPARED = 1000


class Explainer:
    """Runs the lowering until it has met all refusals.

    Parameters
    ----------
    schema : dict or bool
        A parsed document.
    options : Options
        As for a compilation.
    new_builder : callable
        Makes a builder that nothing has been lowered into.
    """

    def __init__(self, schema: Any, options: Options, new_builder: Callable[[], Builder]) -> None:
        self._schema = schema
        self._options = options
        self._new_builder = new_builder
        self._deadline = time.monotonic() + options.max_compile_seconds
        # How keywords are enforced, by pointer of the node and name.
        self._notes: dict[tuple[str, str], tuple[str, str]] = {}
        self._errors: list[SchemaError | LimitError] = []
        # Whether the last run got to the end, so that there are no more refusals.
        self.complete = False
        # Why keywords would be refused that no run has met.
        self._unmet: dict[tuple[str, str], str] = {}
        self._described: dict[str, dict[str, tuple[str, str | None]]] = {}
        document = Document(schema, options.draft, options.registry)
        self.draft = document.draft
        self._places = Places(document) if isinstance(schema, dict) else None

    # -- runs ------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        """Return (pointer, keyword, status, reason, suggestion) for each keyword of each schema."""
        self._run_all()
        refused = self._refused()
        if self._places is None:
            if not refused:
                yield "", None, "exact", _EXACT, None
        else:
            self._parse_all(refused)
            yield from refused.pop(("", None), [])
            for place in self._places.all:
                if place.pointer:
                    yield from refused.pop((place.pointer, None), [])
                for keyword in place.node:
                    rows = refused.pop((place.pointer, keyword), None)
                    yield from [self._row(place, keyword)] if rows is None else rows
        # What is in no schema that was found.
        for rows in refused.values():
            yield from rows

    def _run_all(self) -> None:
        """Lower the schema, then without what is refused, until nothing is."""
        schema = self._schema
        while len(self._errors) < _MAX_REFUSALS:
            lowering = new_lowering(schema, self._new_builder(), self._options)
            problem: SchemaError | LimitError | None = None
            try:
                if lowering.builder.finish(lower_start(lowering)) is None:
                    problem = lowering.unsatisfiable()
            except (SchemaError, LimitError) as error:
                problem = error
            self._options.registry = lowering.document.registry
            self._collect(lowering)
            if problem is None or isinstance(problem, UnsatisfiableSchemaError):
                # What has been left out may be why there is no value.
                if problem is not None and not self._errors:
                    self._errors.append(problem)
                self.complete = True
                return
            if schema is self._schema:
                schema = _copy(schema)
            self._errors.append(problem)
            if time.monotonic() > self._deadline or not self._remove(schema, problem):
                return

    def _collect(self, lowering: Lowering) -> None:
        """Take over what a run has noted. Its nodes are not those of the schema, but their places are."""
        claimed = lowering.guards.claimed
        if not lowering.notes and not lowering.distinct_items and not claimed:
            return
        document, pointers = lowering.document, pointers_of(lowering.document)
        for (_, keyword), (node, status, reason) in lowering.notes.items():
            pointer = pointers.get(id(document.origin(node)))
            if pointer is not None:
                self._notes[pointer, keyword] = status, reason
        for node, items in lowering.distinct_items:
            pointer = pointers.get(id(document.origin(node)))
            if pointer is None or (pointer, "uniqueItems") in self._notes:
                continue
            told_apart = _Items(lowering).told_apart
            if not all(told_apart(nodes) for nodes in items):
                self._notes[pointer, "uniqueItems"] = "guarded", _DISTINCT

        if self._places is None:
            return
        places = self._places.by_pointer
        for claims, contains in claimed:
            found = [(document.origin(node), keyword) for node in contains for keyword in _COUNTS]
            found += [owner for claim in claims for owner in self._owners(document, pointers, claim)]
            for node, keyword in found:
                pointer = node if isinstance(node, str) else pointers.get(id(node))
                if pointer in places and keyword in places[pointer].node:
                    self._notes[pointer, keyword] = "guarded", _CLAIMED

    def _owners(
        self, document: Document, pointers: dict[int, str], claim: Claim
    ) -> Iterator[tuple[Any, str]]:
        """Return the nodes (or their pointers) and keywords that a claim comes from."""
        kind, *parts = claim
        if kind == "one":
            yield document.origin(parts[0]), "oneOf"
        elif kind == "if":
            yield from ((document.origin(parts[0]), keyword) for keyword in _CONDITIONS)
        elif kind == "evaluated":
            yield document.origin(parts[0]), parts[1]
        elif kind == "not":
            yield from self._owners(document, pointers, parts[0])
        elif kind != "is":
            for part in parts[0]:
                yield from self._owners(document, pointers, part)
        elif document.is_alias(parts[0]):
            yield from ((document.origin(parts[0]), keyword) for keyword in _REWRITTEN)
        elif self._places is not None:
            # A subschema: of the keyword that it is in.
            here = pointers.get(id(document.origin(parts[0])), "")
            while here:
                here, _, keyword = here.rpartition("/")
                if here in self._places.by_pointer:
                    yield here, keyword
                    return

    def _remove(self, schema: Any, problem: SchemaError | LimitError) -> bool:
        """Take what is refused out of a copy of the schema; tell whether that was possible."""
        pointer = problem.pointer
        if not pointer or pointer[0] != "/":
            return False
        *path, last = (token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))
        here = schema
        for token in path:
            if isinstance(here, dict) and token in here:
                here = here[token]
            elif isinstance(here, list) and token.isdecimal() and int(token) < len(here):
                here = here[int(token)]
            else:
                return False
        if isinstance(here, list) and last.isdecimal() and int(last) < len(here):
            here[int(last)] = True
            return True
        if not isinstance(here, dict) or last not in here:
            return False
        assert self._places is not None
        is_keyword = pointer.rpartition("/")[0] in self._places.by_pointer
        if is_keyword or (isinstance(problem, SchemaError) and problem.keyword is not None):
            del here[last]
        else:
            here[last] = True
        return True

    # -- refusals --------------------------------------------------------------------------

    def _refused(self) -> dict[tuple[str, str | None], list[Row]]:
        """Return the refusals by the pointer of the schema and the keyword."""
        refused: dict[tuple[str, str | None], list[Row]] = {}
        for error in self._errors:
            pointer, keyword = self._attributed(error)
            suggestion = None
            reason = str(error)
            if isinstance(error, SchemaError):
                reason, suggestion = error.reason, error.hint or self._instead(pointer, keyword)
            refused.setdefault((pointer, keyword), []).append(
                (pointer, keyword, "refused", reason, suggestion)
            )
        return refused

    def _attributed(self, error: SchemaError | LimitError) -> tuple[str, str | None]:
        """Return the pointer of the schema that an error is about, and the keyword."""
        places = {} if self._places is None else self._places.by_pointer
        keyword = error.keyword if isinstance(error, SchemaError) else None
        here = error.pointer or ""
        fallback: tuple[str, str | None] | None = (here, None) if here in places and keyword is None else None
        while fallback is None and here:
            here, _, token = here.rpartition("/")
            token = token.replace("~1", "/").replace("~0", "~")
            if here in places and keyword in (None, token):
                fallback = here, token
        return (error.pointer or "", keyword) if fallback is None else fallback

    def _instead(self, pointer: str, keyword: str | None) -> str | None:
        """Guess what was meant by the value of a refused keyword."""
        place = None if self._places is None else self._places.by_pointer.get(pointer)
        if place is None:
            return None
        if keyword == "type":
            return likely_type(place.node.get("type"))
        if keyword == "required" and isinstance(place.node.get("required"), bool):
            return "required of the object lists the names of properties"
        return None

    # -- what no run has lowered -----------------------------------------------------------

    def _parse_all(self, refused: dict[tuple[str, str | None], list[Row]]) -> None:
        """Read the keywords of every schema, also where no value depends on them."""
        assert self._places is not None
        builder = self._new_builder()
        document = self._places.document
        lowering = Lowering(document, builder, self._options, builder.re_epsilon())
        errors = 0
        for place in self._places.all:
            try:
                lowering.parse(place.node)
            except StructgenError as error:
                errors += 1
                if errors > _MAX_REFUSALS:
                    break
                if not isinstance(error, SchemaError):
                    continue
                pointer, keyword = self._attributed(error)
                if (pointer, keyword) in refused:
                    continue
                if place.applied and not self.complete:
                    refused[pointer, keyword] = [(pointer, keyword, "refused", error.reason, error.hint)]
                elif keyword is not None:
                    self._unmet[pointer, keyword] = error.reason
        for (_, keyword), (node, status, reason) in lowering.notes.items():
            self._notes.setdefault((self._places.pointer(node), keyword), (status, reason))
        self._share(lowering)

    def _share(self, lowering: Lowering) -> None:
        """Give schemas that say the same the same notes: the lowering may take one for the other."""
        assert self._places is not None
        guarded = {key: note for key, note in self._notes.items() if note[0] == "guarded"}
        if not guarded:
            return
        notes: dict[tuple[int, str], tuple[str, str]] = {}
        with contextlib.suppress(RecursionError):
            same = [(place, id(lowering.synthetic.same(place.node))) for place in self._places.all]
            for place, first in same:
                for keyword in place.node:
                    if (place.pointer, keyword) in guarded:
                        notes[first, keyword] = guarded[place.pointer, keyword]
            for place, first in same:
                for keyword in place.node:
                    if (first, keyword) in notes:
                        self._notes.setdefault((place.pointer, keyword), notes[first, keyword])

    # -- keywords --------------------------------------------------------------------------

    def _row(self, place: Place, keyword: Any) -> Row:
        name = keyword if isinstance(keyword, str) else str(keyword)
        status, reason, suggestion = self._judged(place, keyword) or self._ignored(place, name)
        return place.pointer, name, status, reason, suggestion

    def _judged(self, place: Place, keyword: Any) -> tuple[Status, str, str | None] | None:
        """Say how a keyword that the lowering reads is enforced; None for any other."""
        if keyword not in KEYWORDS[place.draft] and place.draft not in COMPANIONS.get(keyword, ()):
            return None
        unmet = self._unmet.get((place.pointer, keyword))
        otherwise = "" if unmet is None else f"; otherwise it would be refused: {unmet}"
        if not place.applied:
            return "annotation", _UNUSED + otherwise, None
        why_not = place.why_not(keyword)
        if why_not is not None:
            return "annotation", why_not, None
        if unmet is not None:
            return "annotation", f"no value depends on it{otherwise}", None
        note = self._notes.get((place.pointer, keyword))
        if note is not None:
            return (
                cast(Status, note[0]),
                note[1],
                similar_format(place.node[keyword]) if note[0] == "annotation" else None,
            )
        if keyword in place.targets:
            target = place.targets[keyword]
            where = self._places.pointer(target) if self._places and isinstance(target, dict) else target
            return "exact", f"it stands for the schema at {where!r}", None
        return "exact", _EXACT, None

    def _ignored(self, place: Place, keyword: str) -> tuple[Status, str, str | None]:
        """Say why a keyword that the lowering does not read constrains nothing."""
        if keyword == "nullable" and self._options.nullable:
            if place.applied and not place.refers and "type" in place.node and place.node[keyword] is True:
                return "exact", "null is allowed, too, as the option nullable says", None
            return "annotation", "it matters only where it is true, and with type beside it", None
        if keyword not in self._described:
            self._described[keyword] = {}
        known = self._described[keyword]
        if place.draft not in known:
            known[place.draft] = describe(keyword, place.draft, len(self._described) < _MAX_COMPARED)
        reason, suggestion = known[place.draft]
        return "annotation", reason, suggestion


def _copy(root: Any) -> Any:
    """Copy a document without recursion; one object in several places stays one object."""
    copies: dict[int, Any] = {}

    def copy(value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        if id(value) not in copies:
            copies[id(value)] = {} if isinstance(value, dict) else []
            ahead.append(value)
        return copies[id(value)]

    ahead: list[Any] = []
    result = copy(root)
    while ahead:
        value = ahead.pop()
        if isinstance(value, dict):
            copies[id(value)].update((key, copy(child)) for key, child in value.items())
        else:
            copies[id(value)].extend(copy(child) for child in value)
    return result


class _Items:
    """Whether the core tells items apart while they are spelled, or compares them when they end."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._left = _MAX_ALTERNATIVES

    def told_apart(self, nodes: list[Any]) -> bool:
        """Tell whether all values that satisfy some schemas are scalars without exponents."""
        if any(node is False for node in nodes):
            return True
        self._left -= 1
        nodes = [node for node in nodes if node is not True]
        if not nodes or self._left < 0:
            return False
        try:
            shape = self._lowering.merge(nodes)
        except StructgenError:
            return False
        free = self._lowering.options.all_numbers
        for node, keyword in shape.enums:
            values = [node[keyword]] if keyword == "const" else node[keyword]
            if all(self._is_plain(value, free) for value in values):
                return True
        bounded = shape.low is not None or shape.high is not None or bool(shape.multiples)
        numbers = shape.types & NUMBER
        exponents = numbers and (free or (numbers & FRACTION and not bounded))
        if not shape.types & (ARRAY | OBJECT) and not exponents:
            return True
        alternatives = [branches for _, branches, _ in shape.any_of]
        alternatives += [claim[2] for claim in shape.claims if claim[0] == "one"]
        return any(all(self.told_apart([branch]) for branch in branches) for branches in alternatives)

    @staticmethod
    def _is_plain(value: Any, free: bool) -> bool:
        is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        return not isinstance(value, (dict, list)) and not (is_number and free)
