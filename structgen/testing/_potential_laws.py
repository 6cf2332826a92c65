"""The laws of potentials, as tests that users run on their own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structgen import Vocabulary
    from structgen.samplers import Context, Potential


class PotentialLaws:
    """Tests that a potential obeys the laws that samplers rely on: a mixin for pytest or unittest.

    Derive a test class from it and define :meth:`vocabulary`, :meth:`potential` and :meth:`sequences`. The
    texts that are looked at are those of the token sequences, of all their prefixes, and of all these with
    one more token of :meth:`extensions`.

    Attributes
    ----------
    tolerance : float
        How much scores that should be equal may differ, absolutely and relatively.

    Examples
    --------
    >>> class TestNoShouting(PotentialLaws):
    ...     def vocabulary(self):
    ...         return Vocabulary([b"</s>", b"a", b"A"], eos_token_ids=0)
    ...     def potential(self):
    ...         return Predicate(lambda text: not text.isupper())
    ...     def sequences(self):
    ...         return [[1, 2, 2], [2, 1]]
    """

    tolerance = 1e-9

    def vocabulary(self) -> Vocabulary:
        """Return what the tokens mean."""
        raise NotImplementedError("define vocabulary(): it returns a structgen.Vocabulary")

    def potential(self) -> Potential:
        """Return a new potential; it is called for every test."""
        raise NotImplementedError("define potential(): it returns a new potential")

    def sequences(self) -> Iterable[Sequence[int]]:
        """Return sequences of tokens without end tokens, of which some conform and some don't."""
        raise NotImplementedError("define sequences(): it returns sequences of token ids")

    def extensions(self) -> Iterable[int]:
        """Return tokens that every text is extended by; by default all ordinary ones, up to 64."""
        vocabulary = self.vocabulary()
        special = {*vocabulary.eos_token_ids, *vocabulary.special_token_ids}
        ordinary = [t for t, data in enumerate(vocabulary.tokens) if data and t not in special]
        return ordinary[:: max(1, math.ceil(len(ordinary) / 64))]

    # -- the laws --------------------------------------------------------------------------

    def test_scores_are_numbers(self) -> None:
        """No score is NaN or positive infinity, and a boolean potential's are 0 or minus infinity."""
        potential = self.potential()
        boolean = getattr(potential, "boolean", False)
        for context in self._contexts():
            for name in ("prefix", "complete"):
                score = getattr(potential, name)(context)
                where = f"{name} of {context} is {score!r}"
                assert isinstance(score, (int, float)), f"{where}, no number"
                assert score < math.inf, f"{where}; a log score is below infinity, or -inf"
                assert not boolean or score in (0, -math.inf), f"{where}, and boolean is true"

    def test_what_is_impossible_stays_impossible(self) -> None:
        """Where prefix is minus infinity, complete is, and prefix of every continuation."""
        potential = self.potential()
        for context in self._contexts():
            if potential.prefix(context) != -math.inf:
                continue
            score = potential.complete(context)
            assert score == -math.inf, f"prefix of {context} is -inf, but complete is {score!r}"
            for token in () if context.ended else self.extensions():
                longer = context.extend(token)
                score = potential.prefix(longer)
                assert score == -math.inf, f"prefix of {context} is -inf, but that of {longer} is {score!r}"

    def test_end_tokens_complete(self) -> None:
        """After an end token, prefix and complete are what complete was before it."""
        potential = self.potential()
        for context in self._contexts():
            if context.ended:
                continue
            expected = potential.complete(context)
            for end in context.vocabulary.eos_token_ids:
                ended = context.extend(end)
                for name in ("prefix", "complete"):
                    score = getattr(potential, name)(ended)
                    assert self._equal(score, expected), (
                        f"complete of {context} is {expected!r}, but {name} after token {end} is {score!r}"
                    )

    def test_batches_equal_single_questions(self) -> None:
        """The batched methods answer as the others do, none at all included."""
        for name in ("prefix", "complete"):
            assert getattr(self.potential(), f"{name}_many")([]) == []
            many = getattr(self.potential(), f"{name}_many")(self._contexts())
            single = self.potential()
            contexts = self._contexts()
            assert len(many) == len(contexts), f"{name}_many answered {len(many)} for {len(contexts)} texts"
            for score, context in zip(many, contexts, strict=True):
                expected = getattr(single, name)(context)
                assert self._equal(score, expected), (
                    f"{name} of {context} is {expected!r}, but {score!r} in a batch"
                )

    def test_answers_do_not_depend_on_what_was_asked(self) -> None:
        """The same question has the same answer again, in another order, and asked of another object."""
        forwards, backwards = self.potential(), self.potential()
        contexts = self._contexts()
        expected = [(forwards.prefix(c), forwards.complete(c)) for c in contexts]
        others = self._contexts()
        # Last ones first, and complete before prefix.
        found = [(backwards.complete(c), backwards.prefix(c)) for c in reversed(others)]
        again = [(forwards.prefix(c), forwards.complete(c)) for c in contexts]
        for context, first, (complete, prefix), second in zip(
            contexts, expected, reversed(found), again, strict=True
        ):
            for name, *scores in zip(("prefix", "complete"), first, (prefix, complete), second, strict=True):
                assert all(self._equal(score, scores[0]) for score in scores), (
                    f"{name} of {context} is {scores[0]!r}, then {scores[1]!r} or {scores[2]!r}"
                )

    def _contexts(self) -> list[Context]:
        """Return new contexts: those of the sequences, their prefixes and extensions, ended ones included."""
        from structgen.samplers import Context

        root = Context.root(self.vocabulary())
        contexts: dict[tuple[int, ...], Context] = {(): root}
        for sequence in self.sequences():
            context = root
            for token in sequence:
                path = (*context.tokens, token)
                context = contexts.setdefault(path, context.extend(token))
        for context in list(contexts.values()):
            for token in (*self.extensions(), *root.vocabulary.eos_token_ids):
                contexts.setdefault((*context.tokens, token), context.extend(token))
        return list(contexts.values())

    def _equal(self, a: float, b: float) -> bool:
        return a == b or math.isclose(a, b, rel_tol=self.tolerance, abs_tol=self.tolerance)
