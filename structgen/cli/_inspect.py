"""What a constraint allows after a beginning of a text, and why it refuses something there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from structgen._core import DEAD
from structgen._errors import GuardDeadEnd, LimitError
from structgen._vocabulary import Vocabulary
from structgen.cli._constraints import Constraint
from structgen.cli._vocabularies import Named

if TYPE_CHECKING:
    from structgen._core import Session

# What a JSON text consists of; the third and the fourth are still going on.
_JSON = re.compile(
    r'("(?:[^"\\]|\\.)*")|([\[\]{},:])|("(?:[^"\\]|\\.)*\\?)$|([^\s\[\]{},:"]+)$|[^\s\[\]{},:"]+', re.S
)

_KINDS = (
    ("letters", frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")),
    ("digits", frozenset(b"0123456789")),
    ("white space", frozenset(b" \t\r\n")),
    ("control characters", frozenset((*range(32), 127)) - frozenset(b"\t\r\n")),
    ("not ASCII", frozenset(range(128, 256))),
)

# Options of JSON Schemas that allow more spellings.
_WIDER = {"property_order": "any", "numbers": "all", "escapes": "all", "whitespace": "flexible"}

_EXAMPLES = 6

# More characters than these are not told as what is left out.
_MAX_ABSENT = 12


@dataclass(frozen=True)
class Group:
    """Allowed tokens that begin alike.

    Attributes
    ----------
    name : str
        How they begin: a kind of character, or one character.
    count : int
        How many they are.
    share : float
        Their share of the allowed tokens.
    examples : list of str
        Some of them, the shortest first.
    """

    name: str
    count: int
    share: float
    examples: list[str]


@dataclass(frozen=True)
class Situation:
    """What is known after a beginning of a text.

    Attributes
    ----------
    text : str
        The beginning.
    alive : bool
        Whether the constraint allows it.
    good_bytes : int
        The bytes of its longest beginning that is allowed.
    expected : str
        What may follow these bytes.
    may_end : bool
        Whether the text may end here.
    forced : str
        What every continuation begins with.
    shortest : str or None
        A shortest completion; None where it takes too long to find.
    stack : list of str
        What is open, from the outermost on: rules of a grammar, or values of a JSON text.
    place : str or None
        In a JSON text: the JSON Pointer of the value under way.
    allowed : int
        Tokens that may follow; end tokens do not count.
    vocabulary : int
        Tokens of the vocabulary.
    groups : list of Group
        The allowed tokens by how they begin, the most first.
    note : str or None
        What else there is to say.
    """

    text: str
    alive: bool
    good_bytes: int
    expected: str
    may_end: bool = False
    forced: str = ""
    shortest: str | None = None
    stack: list[str] = field(default_factory=list)
    place: str | None = None
    allowed: int = 0
    vocabulary: int = 0
    groups: list[Group] = field(default_factory=list)
    note: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a token may not follow, or that it may.

    Attributes
    ----------
    token : str
        Its text.
    token_id : int or None
        Its id; None where the vocabulary has no such token, so that it is looked at as a text.
    allowed : bool
        Whether it may follow.
    good_bytes : int
        How many of its bytes may follow.
    expected : str
        What may follow these.
    reason : str
        All of that in a sentence.
    """

    token: str
    token_id: int | None
    allowed: bool
    good_bytes: int
    expected: str
    reason: str


class Inspector:
    """Looks into a constraint for a vocabulary, and byte by byte.

    Parameters
    ----------
    constraint : Constraint
        What is looked into.
    named : Named
        The tokens.

    Raises
    ------
    StructgenError
        The constraint is refused.
    """

    def __init__(self, constraint: Constraint, named: Named) -> None:
        self.kind = constraint.kind
        self._constraint = constraint
        self.named = named
        self._tokens: Session = constraint.compile(named.vocabulary).session()
        self.bytes: Session = constraint.compile(Vocabulary.of_bytes()).session()
        self._width = self._tokens.mask(DEAD).shape[0]
        self._grouped = Grouping(named.vocabulary.tokens)

    def situation(self, text: str) -> Situation:
        """Return what is known after a beginning of a text."""
        data = text.encode("utf-8", "surrogateescape")
        good, state = self._walk(self.bytes.start, data)
        if good < len(data):
            return Situation(text, False, good, self.expected(state), note=self._spelling(data, good))
        tokens = self.named.vocabulary
        at = self._tokens.advance_bytes(self._tokens.start, data)
        fields: dict[str, Any] = {"vocabulary": len(tokens)}
        if self.kind == "schema":
            # What a text holds of a character that is not complete shows as escapes.
            fields["place"], fields["stack"] = json_stack(decoded(data))
        else:
            fields["stack"] = self._open_rules(at)
        try:
            allowed = self._allowed(at)
            fields["groups"] = self._grouped(allowed)
            fields["allowed"] = len(allowed)
            fields["may_end"] = self._tokens.accepts(at)
            fields["forced"] = shown(self._tokens.forced(at))
            fields["shortest"] = shown(self._tokens.shortest(at))
            if not len(allowed) and not fields["may_end"]:
                fields["note"] = "no token of this vocabulary may follow"
        except (GuardDeadEnd, LimitError) as error:
            fields["note"] = str(error)
        return Situation(text, True, good, self.expected(state), **fields)

    @property
    def ends(self) -> tuple[int, ...]:
        """The end tokens."""
        return self.named.vocabulary.eos_token_ids

    def allowed(self, text: str) -> npt.NDArray[np.int64]:
        """Return the ids of all tokens that may follow, end tokens too."""
        at = self._tokens.advance_bytes(self._tokens.start, text.encode("utf-8", "surrogateescape"))
        ids = self._allowed(at)
        return np.append(ids, self.ends) if self._tokens.accepts(at) else ids

    def refusal(self, text: str, token: str) -> Refusal:
        """Return why a token may not follow the beginning of a text.

        Parameters
        ----------
        text : str
            The beginning, which is allowed.
        token : str
            The text of a token, or ``#`` and its id.

        Raises
        ------
        ValueError
            There is no such id.
        """
        vocabulary = self.named.vocabulary
        token_id, data = self._token(token)
        start = self.bytes.advance_bytes(self.bytes.start, text.encode("utf-8", "surrogateescape"))
        name = f'"{shown(data)}"' if token_id is None else f'token {token_id} ("{shown(data)}")'
        if token_id in vocabulary.eos_token_ids:
            ends = self.bytes.accepts(start)
            expected = self.expected(start)
            reason = "the text may end here" if ends else f"the text may not end here: expected {expected}"
            return Refusal(shown(data), token_id, ends, 0, expected, f"{name} is an end token; {reason}")
        if token_id in vocabulary.special_token_ids or not data:
            what = "a special token" if data else "a token without text"
            return Refusal(
                shown(data), token_id, False, 0, self.expected(start), f"{name} is {what}: no text holds it"
            )
        good, state = self._walk(start, data)
        expected = self.expected(state)
        if good == len(data):
            at = self._tokens.advance_bytes(self._tokens.start, text.encode("utf-8", "surrogateescape"))
            # Guards are asked alike, so that both automata agree.
            allowed = token_id is None or self._tokens.step(at, token_id) != DEAD
            reason = f"{name} may follow" if allowed else f"{name} may not follow"
            return Refusal(shown(data), token_id, allowed, good, expected, reason)
        reason = f'{name} is refused at its byte {good + 1}, "{shown(data[good : good + 1])}"'
        if good:
            reason += f', after "{shown(data[:good])}"'
        return Refusal(shown(data), token_id, False, good, expected, f"{reason}: expected {expected}")

    def expected(self, state: int) -> str:
        """Say which bytes may follow a state of the automaton over bytes."""
        try:
            following = [byte for byte in range(256) if self.bytes.step(state, byte) != DEAD]
            end = self.bytes.accepts(state)
        except GuardDeadEnd as error:
            return str(error)
        parts = [described(following)] if following else []
        if end:
            parts.append("the end")
        return " or ".join(parts) or "nothing"

    def _spelling(self, data: bytes, good: int) -> str | None:
        """Return the option with which more of a refused JSON text would be allowed, if there is one."""
        if self.kind != "schema":
            return None
        for name, value in _WIDER.items():
            wider = replace(self._constraint, options={**self._constraint.options, name: value})
            automaton = wider.compile(Vocabulary.of_bytes())
            if automaton.advance_bytes(automaton.start, data[: good + 1]) != DEAD:
                return f"it is a matter of spelling: with -O {name}={value} the text goes on"
        return None

    def _token(self, token: str) -> tuple[int | None, bytes]:
        tokens = self.named.vocabulary.tokens
        if re.fullmatch(r"#\d+", token):
            number = int(token[1:])
            if number >= len(tokens):
                raise ValueError(f"there is no token {number}: the vocabulary has {len(tokens):,}")
            return number, tokens[number]
        data = token.encode("utf-8", "surrogateescape")
        special = self.named.vocabulary.special_tokens.get(token)
        if special is not None:
            return special, tokens[special] or data
        return (tokens.index(data) if data in tokens else None), data

    def _walk(self, state: int, data: bytes) -> tuple[int, int]:
        """Return how many bytes may follow a state, and the state behind them."""
        for number, byte in enumerate(data):
            following = self.bytes.step(state, byte)
            if following == DEAD:
                return number, state
            state = following
        return len(data), state

    def _allowed(self, state: int) -> npt.NDArray[np.int64]:
        """Return the tokens that may follow, end tokens left out."""
        mask = np.zeros(self._width, np.int32)
        self._tokens.fill_mask(state, mask)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        bits[list(self.ends)] = 0
        return np.flatnonzero(bits)

    def _open_rules(self, state: int) -> list[str]:
        try:
            return list(self._tokens.open_rules(state))
        except ValueError:  # only some automata tell of their structure
            return []


class Grouping:
    """Groups tokens of a vocabulary by how they begin; what takes long is done once."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = tokens
        names: dict[str, int] = {}
        by_byte = [
            names.setdefault(next((kind for kind, data in _KINDS if byte in data), chr(byte)), len(names))
            for byte in range(256)
        ]
        self._names = list(names)
        self._group = np.array([by_byte[token[0]] if token else -1 for token in tokens])
        self._rank = np.empty(len(tokens), np.int64)
        self._rank[sorted(range(len(tokens)), key=lambda i: (len(tokens[i]), tokens[i]))] = range(len(tokens))

    def __call__(self, ids: npt.NDArray[np.int64]) -> list[Group]:
        """Return the groups of some tokens that are not empty, the largest first."""
        groups = []
        for number in np.unique(self._group[ids]).tolist():
            members = ids[self._group[ids] == number]
            # Several ids may have equal bytes.
            first = members[np.argsort(self._rank[members], kind="stable")[: 4 * _EXAMPLES]].tolist()
            examples = list(dict.fromkeys(self._tokens[token] for token in first))[:_EXAMPLES]
            share = len(members) / len(ids)
            groups.append(Group(self._names[number], len(members), share, [shown(one) for one in examples]))
        return sorted(groups, key=lambda group: (-group.count, group.name))


def shown(data: bytes) -> str:
    """Return bytes as a printable text, what is no UTF-8 or not printable as escapes."""
    text = decoded(data)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def decoded(data: bytes) -> str:
    """Return bytes as a text, what is no UTF-8 as escapes."""
    return data.decode("utf-8", "backslashreplace")


def described(values: Iterable[int]) -> str:
    """Describe a set of bytes: ranges of ASCII, and whether there are others.

    >>> described(b"0123456789,]")
    '0-9 , ]'
    """
    data = set(values)
    absent = [byte for byte in range(32, 127) if byte not in data]
    if len(absent) <= _MAX_ABSENT and data:
        missing = _ranges(absent) + ([] if data.issuperset(range(32)) else ["control characters"])
        return "any character" + (f" but {' '.join(missing)}" if missing else "")
    parts = _ranges(sorted(byte for byte in data if byte < 128))
    if max(data, default=0) >= 128:
        parts += ["and" if parts else "", "what is not ASCII"]
    return " ".join(filter(None, parts))


def _ranges(data: list[int]) -> list[str]:
    """Return runs of digits and of letters as ranges, and other bytes by themselves."""
    out: list[str] = []
    here = 0
    while here < len(data):
        end = here
        while end + 1 < len(data) and data[end + 1] == data[end] + 1 and _alike(data[here], data[end + 1]):
            end += 1
        first, last = _byte(data[here]), _byte(data[end])
        out += [first] if here == end else [first, last] if end == here + 1 else [f"{first}-{last}"]
        here = end + 1
    return out


def _alike(first: int, second: int) -> bool:
    kinds = (
        frozenset(range(48, 58)),
        frozenset(range(65, 91)),
        frozenset(range(97, 123)),
        frozenset(range(32)),
    )
    return any(first in kind and second in kind for kind in kinds)


def _byte(byte: int) -> str:
    names = {9: "tab", 10: "line feed", 11: "vertical tab", 12: "form feed", 13: "return", 32: "space"}
    return names.get(byte) or shown(bytes([byte]))


def json_stack(text: str) -> tuple[str, list[str]]:
    """Return where in a JSON text its end is: a JSON Pointer, and what is open from the outermost on.

    >>> json_stack('{"a": [1, "b')
    ('/a/1', ['object, property "a"', 'array, item 1', 'string "b'])
    """
    frames: list[tuple[str, Any]] = []
    going_on = ""
    for match in _JSON.finditer(text):
        string, mark, open_string, open_scalar = match.groups()
        is_key = bool(frames) and frames[-1] == ("object", None)
        if mark in ("{", "["):
            frames.append(("object", None) if mark == "{" else ("array", 0))
        elif mark in ("}", "]") and frames:
            frames.pop()
        elif mark == "," and frames:
            kind, item = frames[-1]
            frames[-1] = (kind, None if kind == "object" else item + 1)
        elif string is not None and is_key:
            frames[-1] = ("object", _unquoted(string))
        elif open_string is not None:
            going_on = ("key " if is_key else "string ") + open_string
        elif open_scalar is not None:
            going_on = f"value {open_scalar}"
    stack = []
    pointer = ""
    for kind, item in frames:
        if kind == "array":
            stack.append(f"array, item {item}")
            pointer += f"/{item}"
        elif item is None:
            stack.append("object")
        else:
            stack.append(f"object, property {json.dumps(item, ensure_ascii=False)}")
            pointer += "/" + item.replace("~", "~0").replace("/", "~1")
    return pointer, stack + ([going_on] if going_on else [])


def _unquoted(string: str) -> str:
    try:
        return str(json.loads(string))
    except ValueError:
        return string[1:-1]
