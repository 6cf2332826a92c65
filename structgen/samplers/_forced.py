"""Text that a constraint leaves no choice about, as tokens that need not be drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from structgen._core import DEAD
from structgen._errors import GuardDeadEnd
from structgen._vocabulary import Vocabulary
from structgen.samplers._context import Context
from structgen.samplers._potentials import AutomatonPotential, Potential, Product, prefix_score
from structgen.samplers._run import automaton_part
from structgen.samplers._token_samplers import AWRS, MaskSampler, MaskThenAWRS, Proposal, TokenSampler

Forced = Literal["single", "canonical"]
Single = Literal["single"]
"""What does not change the distribution, and so all that a sampler that weighs tokens takes."""

Encode = Callable[[str], Sequence[int]]
"""From a text to its tokens, without special ones."""

# How much of the text in front is tokenised together with forced text, in bytes.
_LEFT = 16


class ForcedText:
    """Tells which tokens follow a text without any being drawn.

    Parameters
    ----------
    potential : AutomatonPotential
        The constraint.
    vocabulary : Vocabulary
        Of the automaton.
    forced : {"single", "canonical"}
        ``"single"``: the tokens that are the only ones their masks allow. ``"canonical"``: besides, the
        tokenisation of forced text by `encode`, without those tokens at its end that another allowed token
        could cross: these are left to the model (token healing).
    encode : callable, optional
        The tokenizer; ``"canonical"`` needs it.
    guard : Potential, optional
        What else the text has to satisfy: a token that it refuses is left to be drawn, which will fail.
    """

    def __init__(
        self,
        potential: AutomatonPotential,
        vocabulary: Vocabulary,
        forced: Forced,
        encode: Encode | None = None,
        guard: Potential | None = None,
    ) -> None:
        check_forced(forced, encode)
        self.guard = guard
        self._potential = potential
        self._states = potential.states
        self._tokens = vocabulary.tokens
        self._silent = {*vocabulary.special_token_ids, *vocabulary.eos_token_ids}
        self._longest = max(map(len, self._tokens))
        self._words = np.empty((1, (vocabulary.logits_size + 31) // 32), dtype=np.int32)
        self._encode = encode if forced == "canonical" else None
        self._found: dict[tuple[int, bytes], list[int]] = {}
        self._cuts: dict[tuple[int, int], int] = {}

    def follow(self, context: Context, room: int) -> list[Context]:
        """Return the text with one token more, two more and so on, as :meth:`after` and the guard allow."""
        found: list[Context] = []
        for token in self.after(context, room):
            context = context.extend(token)
            if self.guard is not None and prefix_score(self.guard, context) == -float("inf"):
                break
            found.append(context)
        return found

    def after(self, context: Context, room: int) -> list[int]:
        """Return the tokens that follow a text, at most `room` of them; end tokens are never among them.

        The guard is not asked.

        Raises
        ------
        LimitError
            The automaton reached a limit.
        """
        state = self._potential.state(context)
        if room < 1 or not self._states.forced(state):
            return []
        left = b"" if self._encode is None else context.data[-_LEFT:]
        known = self._found.get((state, left))
        if known is None:
            known = self._found[state, left] = self._follow(state, left)
        return known[:room]

    def _follow(self, state: int, left: bytes) -> list[int]:
        """Return single tokens, as long as there are any, and a canonical tokenisation of what is left."""
        found: list[int] = []
        while text := self._states.forced(state):
            token = self._only(state)
            if token is not None:
                left = (left + self._tokens[token])[-_LEFT:]
                state = self._states.step(state, token)
                found.append(token)
                continue
            if self._encode is not None:
                found += self._healed(state, left, text)
            break
        return found

    def _allowed(self, state: int) -> Any:
        """Return the ids of the tokens that a state allows, int64; none where guards leave none."""
        try:
            self._states.fill_masks([state], self._words)
        except GuardDeadEnd:
            return np.zeros(0, dtype=np.int64)
        octets = self._words.astype("<i4", copy=False).view(np.uint8)
        return np.flatnonzero(np.unpackbits(octets, bitorder="little"))

    def _only(self, state: int) -> int | None:
        allowed = self._allowed(state)
        return int(allowed[0]) if len(allowed) == 1 and allowed[0] not in self._silent else None

    def _healed(self, state: int, left: bytes, text: bytes) -> list[int]:
        """Return the canonical tokens of a forced text up to where a token could cross its end."""
        text = _whole_characters(text)
        tokens = self._tokenised(left, text)
        # Where each token begins, and how much of the text the automaton takes in these tokens.
        begins = [0]
        follower = state
        for token in tokens:
            follower = self._states.step(follower, token)
            if follower == DEAD:
                break
            begins.append(begins[-1] + len(self._tokens[token]))
        end = begins[-1]
        cut = self._cuts.get((state, end))
        if cut is None:
            starts = range(max(0, end - self._longest + 1), end)
            cut = next((start for start in starts if self._crossed(state, text, start, end)), end)
            self._cuts[state, end] = cut
        return tokens[: sum(begin <= cut for begin in begins) - 1]

    def _crossed(self, state: int, text: bytes, begin: int, end: int) -> bool:
        """Tell whether an allowed token begins at `begin` and goes on after `end`."""
        state = self._states.advance_bytes(state, text[:begin])
        return any(
            len(self._tokens[token]) > end - begin and token not in self._silent
            for token in self._allowed(state).tolist()
        )

    def _tokenised(self, left: bytes, text: bytes) -> list[int]:
        """Return the tokenisation of `text` behind `left`; none where the tokenizer has none of its own.

        That is: where the tokenizer would not end a token between the two, and not behind a line break in
        place of what is left of it either, or does not give back the bytes.
        """
        for before in (_behind_continuation(left), b"\n"):
            tokens = self._tail(before, text) if before else []
            if tokens:
                return tokens
        return []

    def _tail(self, before: bytes, text: bytes) -> list[int]:
        assert self._encode is not None
        try:
            ids = [int(token) for token in self._encode((before + text).decode())]
        except UnicodeDecodeError:
            return []
        missing, first = len(text), len(ids)
        while missing > 0 and first > 0:
            first -= 1
            token = ids[first]
            if token >= len(self._tokens) or token in self._silent:
                return []
            missing -= len(self._tokens[token])
        tail = ids[first:]
        same = missing == 0 and b"".join(self._tokens[token] for token in tail) == text
        return tail if same else []


def forced_text(
    sampler: object,
    token_sampler: TokenSampler,
    vocabulary: Vocabulary,
    forced: Forced | None,
    encode: Encode | None = None,
) -> ForcedText | None:
    """Return what tells forced tokens; None where none is asked for.

    Raises
    ------
    ValueError
        The token sampler's tokens can't be told to be forced.
    """
    if forced is None:
        return None
    whole = token_sampler.potential
    automaton = automaton_part(whole)
    if automaton is None:
        raise ValueError(
            f"{type(sampler).__name__} finds forced text by an automaton, and the constraint has none: use "
            "forced=None"
        )
    if not _weighs_exactly(token_sampler):
        raise ValueError(
            f"{type(token_sampler).__name__} may cut forced tokens off, which only a draw would tell (top_k, "
            "top_p, or a class of your own): use forced=None"
        )
    rest = (
        [factor for factor in whole.factors if factor is not automaton] if isinstance(whole, Product) else []
    )
    if rest and forced == "canonical":
        raise ValueError(
            'forced="canonical" needs one automaton as the constraint, and there is more to ask: use '
            'forced="single"'
        )
    guard = None if not rest else rest[0] if len(rest) == 1 else Product(*rest)
    return ForcedText(automaton, vocabulary, forced, encode, guard)


def _weighs_exactly(token_sampler: TokenSampler) -> bool:
    """Tell whether the only token that is allowed has, on average, its probability as its weight."""
    if isinstance(token_sampler, Proposal):
        cuts = token_sampler.top_k is not None or (token_sampler.top_p or 1) < 1
        return not cuts and _weighs_exactly(token_sampler.inner)
    return isinstance(token_sampler, MaskSampler | MaskThenAWRS | AWRS)


def check_single(forced: str | None, sampler: object) -> None:
    """Raise ValueError for what a sampler that weighs its tokens can't do with forced text."""
    if forced == "canonical":
        raise ValueError(
            f'forced="canonical" would change the distribution that {type(sampler).__name__} samples: use '
            '"single", or LocallyConstrained'
        )
    if forced is not None:
        check_forced(forced, None)


def described(sampler: Any) -> str:
    """Return the ``repr`` of a sampler: its settings, and `forced` where there is any."""
    fields = [f.name for f in dataclasses.fields(sampler) if f.name != "forced" or sampler.forced is not None]
    # An encoder has no name that would tell anything.
    settings = ", ".join(f"{name}={getattr(sampler, name)!r}" for name in fields if name != "encode")
    return f"{type(sampler).__name__}({settings})"


def check_forced(forced: str, encode: Encode | None) -> None:
    """Raise ValueError for what is no way to treat forced text."""
    if forced not in get_args(Forced):
        raise ValueError(f'forced is {forced!r}, and must be "single", "canonical" or None')
    if forced == "canonical" and encode is None:
        raise ValueError('forced="canonical" needs the tokenizer\'s encoder; without one there is "single"')


def encoder_of(tokenizer: Any) -> Encode | None:
    """Return how a tokenizer encodes texts without special tokens; None where it does not."""
    if isinstance(tokenizer, Vocabulary):
        return None
    libraries = {base.__module__.partition(".")[0] for base in type(tokenizer).__mro__}
    if "transformers" in libraries:
        return lambda text: list(tokenizer.encode(text, add_special_tokens=False))
    if "tokenizers" in libraries:
        return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)
    if "tiktoken" in libraries:
        return lambda text: list(tokenizer.encode_ordinary(text))
    if "mistral_common" in libraries:
        return lambda text: list(tokenizer.encode(text, bos=False, eos=False))
    return tokenizer.encode if hasattr(tokenizer, "encode") else None


def _whole_characters(text: bytes) -> bytes:
    """Return the longest beginning that is UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return text[: error.start]
    return text


def _behind_continuation(text: bytes) -> bytes:
    """Return the end of a UTF-8 text from its first whole character on."""
    begin = next((i for i, byte in enumerate(text) if byte & 0xC0 != 0x80), len(text))
    return text[begin:]
