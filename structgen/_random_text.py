"""Random texts of an automaton, without a language model."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from structgen._core import DEAD, FINISHED
from structgen._errors import GuardDeadEnd, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structgen._core import Session, TokenAutomaton

__all__ = ["random_texts"]

# Where guards leave a walk no way on, it goes back further each time, and after so many times it is given up.
_MAX_DEAD_ENDS = 40

# Searches for a way to the end that may run into their limit.
_MAX_LIMITS_MET = 2

# What uniform sampling remembers: states, and pairs of a state and a number of bytes.
_MAX_STATES = 20_000
_MAX_COUNTS = 2_000_000

_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_VOWELS = frozenset(b"aeiouAEIOU")
_DIGITS = frozenset(b"0123456789")
_SPACE = frozenset(b" \t\r\n")
_NAME_BYTES = _LETTERS | _DIGITS | frozenset(b"_-$@")

# A choice of at least so many letters is text, not a keyword.
_TEXT_LETTERS = 16

# Where one can go to more states than this, some are left out.
_MAX_CHOICES = 40
_THINNED = 3

# The distance to an end that takes too long to find.
_UNKNOWN = 1 << 40

# Bytes of a piece of text, in the mean.
_MEAN_TEXT = 8

# How often what leads on is taken where there is something else: white space outside of texts, escapes,
# exponents, what is not ASCII.
_RARE = 0.02


class _Choice(NamedTuple):
    """Bytes that lead from one state to one other."""

    state: int
    data: bytes
    """The bytes; none where the text ends."""
    distance: int
    """Bytes of a shortest completion behind it."""
    is_text: bool


def random_texts(
    automaton: TokenAutomaton,
    n: int = 1,
    *,
    seed: int | None = None,
    max_bytes: int = 2000,
    method: Literal["varied", "uniform"] = "varied",
) -> list[str]:
    """Draw texts that an automaton accepts, without a language model.

    Parameters
    ----------
    automaton : TokenAutomaton
        Of any constraint, for a vocabulary that has a token for every single byte, such as
        :meth:`Vocabulary.of_bytes`. Compile JSON Schemas with ``whitespace="compact"``, else there is white
        space in odd places.
    n : int
        How many texts; they are independent, so that some may be equal.
    seed : int, optional
        Makes the texts reproducible: the same seed, automaton and options give the same texts.
    max_bytes : int
        The longest text, in bytes of UTF-8.
    method : {"varied", "uniform"}
        ``"varied"``: a walk byte by byte that prefers words, short numbers and declared keys, and heads for
        the end from a length on that is drawn for each text. Good for fixtures; the chances of texts are of
        no particular kind. ``"uniform"``: every accepted text of at most `max_bytes` bytes has the same
        chance, exactly. That counts texts, so it is for small languages or a small `max_bytes`.

    Returns
    -------
    list of str
        `n` texts, each of which the automaton accepts.

    Raises
    ------
    ValueError
        `n` or `max_bytes` is negative, the vocabulary lacks a byte, or every text is longer than `max_bytes`.
    LimitError
        Uniform sampling would have to count for too many states; or ways to the end take too long to find.
    GuardDeadEnd
        Checks on whole values refused all that was tried.

    Examples
    --------
    >>> import structgen
    >>> vocabulary = structgen.Vocabulary.of_bytes()
    >>> automaton = structgen.compile_regex("a{2}|b", vocabulary)
    >>> set(structgen.random_texts(automaton, 50, seed=0)) == {"aa", "b"}
    True
    """
    if n < 0 or max_bytes < 0:
        raise ValueError(f"n and max_bytes must not be negative, but are {n} and {max_bytes}")
    if method not in ("varied", "uniform"):
        raise ValueError(f"method must be 'varied' or 'uniform', not {method!r}")
    rng = random.Random(seed)
    tokens = _byte_tokens(automaton)
    if method == "uniform":
        return _Uniform(automaton.session(), tokens, max_bytes).draw(n, rng)
    return [_Walk(automaton.session(), tokens, rng, max_bytes).text() for _ in range(n)]


def _byte_tokens(automaton: TokenAutomaton) -> dict[int, int]:
    """Return the byte that each single-byte token spells."""
    vocabulary = automaton.vocabulary
    excluded = {*vocabulary.special_token_ids, *vocabulary.eos_token_ids}
    tokens: dict[int, int] = {}
    for token, data in enumerate(vocabulary.tokens):
        if len(data) == 1 and token not in excluded:
            tokens.setdefault(data[0], token)
    # UTF-8 never uses the others.
    missing = {*range(0xC0), *range(0xC2, 0xF5)} - set(tokens)
    if missing:
        raise ValueError(
            "random texts need a token for every byte, and this vocabulary has none for "
            f"{bytes(sorted(missing))!r}: compile for Vocabulary.of_bytes()"
        )
    return {token: byte for byte, token in tokens.items()}


class _States:
    """Transitions by bytes."""

    def __init__(self, session: Session, tokens: dict[int, int]) -> None:
        self._session = session
        self._tokens = tokens
        self.start = session.start
        self._mask = np.zeros_like(session.mask(FINISHED))
        self._limits_met = 0

    def successors(self, state: int) -> dict[int, bytearray]:
        """Return the bytes that lead to each next state."""
        self._session.fill_mask(state, self._mask)
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")
        out: dict[int, bytearray] = {}
        for token in np.flatnonzero(bits).tolist():
            byte = self._tokens.get(token)
            if byte is not None and (following := self._session.step(state, token)) != DEAD:
                out.setdefault(following, bytearray()).append(byte)
        return out

    def accepts(self, state: int) -> bool:
        return self._session.accepts(state)

    def shortest(self, state: int) -> bytes | None:
        """Return a shortest text to an end; None where guards, or limits, keep it from being found.

        Raises
        ------
        LimitError
            Limits were in the way several times, each of which takes seconds.
        """
        try:
            return self._session.shortest(state)
        except GuardDeadEnd:
            return None
        except LimitError:
            self._limits_met += 1
            if self._limits_met > _MAX_LIMITS_MET:
                raise
            return None


class _Walk:
    """One text, byte by byte."""

    def __init__(self, session: Session, tokens: dict[int, int], rng: random.Random, max_bytes: int) -> None:
        self._session = session
        self._states = _States(session, tokens)
        self._rng = rng
        self._max_bytes = max_bytes
        self._choices: dict[int, list[_Choice]] = {}
        self._target = 0
        # The piece of text under way: its bytes so far, how many it shall have, and whether it follows
        # something declared (a key, a keyword).
        self._run = 0
        self._wanted = 0
        self._spelling = False

    def text(self) -> str:
        """Draw the text."""
        start = self._states.start
        shortest = self._states.shortest(start)
        if shortest is not None and len(shortest) > self._max_bytes:
            raise _too_small(self._max_bytes, shortest)
        self._target = self._typical_length(len(shortest or b""))
        out = bytearray()
        # The state in front of each byte.
        path: list[int] = []
        state = start
        dead_ends = 0
        while dead_ends <= _MAX_DEAD_ENDS:
            choice = self._choose(state, len(out))
            if choice is None:
                dead_ends += 1
                back = max(0, len(out) - (1 << min(dead_ends, 12)))
                state = path[back] if path else start
                del out[back:], path[back:]
                self._run = 0
                continue
            if choice.state == FINISHED:
                return out.decode("utf-8")
            path.append(state)
            out.append(self._byte(choice, out[-1] if out else 0))
            state = choice.state
        if shortest is None:
            # It says which guards, or which limit.
            shortest = self._session.shortest(start)
        return shortest.decode("utf-8")

    def _typical_length(self, shortest: int) -> int:
        """Draw the length from which on the text heads for its end."""
        low = max(1, min(self._max_bytes, shortest + 4))
        high = max(low, min(self._max_bytes, max(400, 6 * shortest)))
        return round(math.exp(self._rng.uniform(math.log(low), math.log(high))))

    # -- where one can go ------------------------------------------------------------------

    def _choices_at(self, state: int) -> list[_Choice]:
        if state not in self._choices:
            self._choices[state] = list(self._new_choices(state))
        return self._choices[state]

    def _new_choices(self, state: int) -> Iterator[_Choice]:
        try:
            successors = self._states.successors(state)
        except GuardDeadEnd:
            return
        texts = {following for following, data in successors.items() if _is_text(data)}
        if len(successors) > _MAX_CHOICES and not texts:
            successors, texts = self._thinned(successors)
        for following, data in successors.items():
            shortest = self._states.shortest(following)
            distance = _UNKNOWN if shortest is None else len(shortest)
            yield _Choice(following, bytes(data), distance, following in texts)
        if self._states.accepts(state):
            yield _Choice(FINISHED, b"", -1, False)

    def _thinned(self, successors: dict[int, bytearray]) -> tuple[dict[int, bytearray], set[int]]:
        """Return a few successors where nearly every byte has its own, and those that are text.

        Guards keep the text of a string, so that all of its bytes lead to states of their own, and finding
        all their distances is slow.
        """
        kept = {following: data for following, data in successors.items() if data[0] in b'"\\'}
        others = [following for following in successors if following not in kept]
        weights = [_liking(successors[following][0], 0) for following in others]
        texts = set(self._rng.choices(others, weights, k=_THINNED))
        return kept | {following: successors[following] for following in texts}, texts

    # -- where one goes --------------------------------------------------------------------

    def _choose(self, state: int, used: int) -> _Choice | None:
        room = self._max_bytes - used - 1
        choices = [choice for choice in self._choices_at(state) if choice.distance <= room]
        if not choices:
            choices = [c for c in self._choices_at(state) if c.distance == _UNKNOWN and room > 0]
        if not choices:
            return None
        nearest = min(choice.distance for choice in choices)
        pressure = used / self._target
        if any(choice.is_text for choice in choices):
            return self._choose_in_text(choices, nearest, pressure)
        if any(choice.data and choice.data[0] < 0x80 for choice in choices):
            self._run = 0
        # Closing brackets and ends wait for their time.
        haste = 0.4 + pressure if pressure < 1 else 30.0
        weights = [
            weight * (haste if choice.distance == nearest else 1.0)
            for choice, weight in zip(choices, _commonness(choices), strict=True)
        ]
        return self._rng.choices(choices, weights)[0]

    def _choose_in_text(self, choices: list[_Choice], nearest: int, pressure: float) -> _Choice:
        """Choose where text can go on: until it is as long as wanted, or along what is declared."""
        # Bytes that lead elsewhere than most letters do spell something declared.
        spelt = [
            not choice.is_text and bool(choice.data) and _NAME_BYTES.issuperset(choice.data)
            for choice in choices
        ]
        if not self._run:
            length = self._rng.expovariate(1 / _MEAN_TEXT) * (5 if self._rng.random() < 0.03 else 1)
            self._wanted = round(length) if pressure < 1 else 0
            self._spelling = True
        elif self._spelling and not any(spelt):
            self._wanted, self._spelling = 0, False
        can_end = any(not choice.is_text and choice.distance == nearest for choice in choices)
        may_end = can_end and self._run >= self._wanted
        weights = []
        for choice, is_spelt, common in zip(choices, spelt, _commonness(choices), strict=True):
            if choice.is_text:
                weight = 0.1 if may_end else 1.0
            elif is_spelt and self._spelling:
                weight = 9.0
            elif choice.distance == nearest:
                weight = 2.0 if may_end else 0.0
            else:
                weight = _RARE * common if is_spelt or not may_end else common
            weights.append(weight)
        number = self._rng.choices(range(len(choices)), weights)[0]
        self._spelling = self._spelling and spelt[number]
        self._run += 1
        return choices[number]

    def _byte(self, choice: _Choice, previous: int) -> int:
        if len(choice.data) == 1:
            return choice.data[0]
        weights = [_liking(byte, previous) for byte in choice.data]
        return self._rng.choices(choice.data, weights)[0]


def _too_small(max_bytes: int, shortest: bytes | None) -> ValueError:
    needed = "" if shortest is None else f": the shortest text has {len(shortest)} bytes"
    return ValueError(f"max_bytes={max_bytes} is too small{needed}")


def _is_text(data: bytearray) -> bool:
    return len(_LETTERS.intersection(data)) >= _TEXT_LETTERS


def _commonness(choices: list[_Choice]) -> list[float]:
    """Return how often each choice should be made for what it writes, 1 being the most."""
    has_digits = any(_DIGITS.intersection(choice.data) for choice in choices)
    # There are many ways into what is not ASCII; together they count as one.
    foreign = sum(choice.data[:1] >= b"\x80" for choice in choices)
    weights = []
    for choice in choices:
        data = choice.data
        if data[:1] >= b"\x80":
            weight = _RARE / foreign
        elif not data:
            weight = 1.0
        elif _DIGITS.issuperset(data):
            # Zero alone is where a JSON number has no further digits.
            weight = max(0.2, len(data) / 10)
        elif (
            data[0] < 0x20
            or data[0] in _SPACE
            or data == b"\\"
            or (has_digits and data in (b"e", b"E", b"eE"))
        ):
            weight = _RARE
        else:
            # Signs; and what begins comments in many languages.
            weight = {b"-": 0.1, b"+": 0.2, b".": 0.3, b"/": 0.1, b"#": 0.1}.get(data, 1.0)
        weights.append(weight)
    return weights


def _liking(byte: int, previous: int) -> float:
    """Return how often a byte should be taken among those that lead to the same state."""
    if byte in _LETTERS:
        weight = 3.0 if (byte in _VOWELS) != (previous in _VOWELS) else 0.6
        if byte in _VOWELS:
            weight *= 3
        # Capitals begin words.
        return weight * (0.01 if previous in _LETTERS else 0.2) if byte < ord("a") else weight
    if byte in _DIGITS:
        return 0.3
    if byte == ord(" "):
        return 6.0 if previous in _LETTERS else 0.0001
    if byte < 0x20 or byte == 0x7F:
        return 0.0001
    if byte < 0x80:
        return 0.05
    # Of what is not ASCII, Latin letters.
    return 1.0 if byte == 0xC3 or 0x80 <= byte < 0xC0 else 0.01


class _Uniform:
    """All texts of at most so many bytes with the same chance, by counting them.

    ``counts[k][state]`` is the number of texts of at most k bytes that lead from the state to an end.
    """

    def __init__(self, session: Session, tokens: dict[int, int], max_bytes: int) -> None:
        self._states = _States(session, tokens)
        self._edges: dict[int, list[tuple[int, bytes]]] = {}
        layers = self._reachable(max_bytes)
        self._counts: list[dict[int, int]] = []
        for room, states in enumerate(reversed(layers)):
            self._counts.append({state: self._count(state, room) for state in states})
        self.total = self._counts[-1][self._states.start]
        if not self.total:
            raise _too_small(max_bytes, self._states.shortest(self._states.start))

    def _reachable(self, max_bytes: int) -> list[set[int]]:
        """Return the states that each number of bytes leads to."""
        layers = [{self._states.start}]
        known = 1
        for _ in range(max_bytes):
            layer: set[int] = set()
            for state in layers[-1]:
                layer.update(following for following, _ in self._edges_of(state))
            known += len(layer)
            if known > _MAX_COUNTS or len(self._edges) > _MAX_STATES:
                raise LimitError(
                    f"texts of up to {max_bytes} bytes pass through too many states to count them: take a "
                    "smaller max_bytes, or method='varied'",
                    limit="max_bytes",
                    value=max_bytes,
                )
            layers.append(layer)
        return layers

    def _edges_of(self, state: int) -> list[tuple[int, bytes]]:
        if state not in self._edges:
            try:
                successors = self._states.successors(state)
            except GuardDeadEnd:  # no way to an end: it counts nothing
                successors = {}
            self._edges[state] = [(following, bytes(data)) for following, data in successors.items()]
        return self._edges[state]

    def _count(self, state: int, room: int) -> int:
        total = int(self._states.accepts(state))
        if room:
            counts = self._counts[room - 1]
            total += sum(len(data) * counts[following] for following, data in self._edges_of(state))
        return total

    def draw(self, n: int, rng: random.Random) -> list[str]:
        return [self._draw(rng) for _ in range(n)]

    def _draw(self, rng: random.Random) -> str:
        out = bytearray()
        state = self._states.start
        for room in range(len(self._counts) - 1, -1, -1):
            rest = rng.randrange(self._counts[room][state])
            if self._states.accepts(state):
                if rest == 0:
                    break
                rest -= 1
            counts = self._counts[room - 1]
            for following, data in self._edges_of(state):
                size = len(data) * counts[following]
                if rest < size:
                    out.append(data[rest // counts[following]])
                    state = following
                    break
                rest -= size
        return out.decode("utf-8")
