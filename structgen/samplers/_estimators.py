"""Adaptive weighted rejection sampling: which tokens to ask about, and the weight of the one returned.

An estimator draws tokens without replacement, asks about one at a time whether it is allowed, and returns an
allowed one and a weight w such that E[w f(token)] is the sum of p(x) f(x) over all allowed x, for every f. It
knows nothing of how numbers are represented: :class:`Race` draws the tokens and measures probabilities, in
log space for sampling and in exact rationals where this is checked.

References
----------
Lipkin et al., "Fast controlled generation from language models with adaptive weighted rejection sampling",
COLM 2025.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

NONE = -1
"""In place of a token: there is none."""

Mass = TypeVar("Mass")
Mass_co = TypeVar("Mass_co", covariant=True)


class Race(Protocol[Mass_co]):
    """Tokens in random order: each next one by its probability among those that are left."""

    @property
    def whole(self) -> Mass_co:
        """The probability of all tokens together, 1."""

    def next(self) -> int:
        """Take out and return the next token, or :data:`NONE` where none of positive probability is left."""

    def put_back(self, token: int) -> None:
        """Let a token that was just taken take part again."""

    def reject(self, token: int) -> None:
        """Note that a token which was taken is not allowed."""

    def mass(self, token: int) -> Mass_co:
        """Return the probability of a token that was taken once."""

    def rest(self) -> Mass_co:
        """Return the probability of all tokens that are not rejected."""

    def repeats(self, at_most: int | None) -> int:
        """Return how often drawing with replacement would hit rejected tokens before it hits another.

        That is the number of failures before a success of probability :meth:`rest`, cut off at `at_most`.
        """


@dataclass(frozen=True)
class Outcome(Generic[Mass]):
    """A token and its weight, ``mass * numerator / denominator``."""

    token: int
    mass: Mass
    numerator: int
    denominator: int


Allowed = Callable[[int], bool]


def recursive(race: Race[Mass], allowed: Allowed, max_rejects: int | None) -> Outcome[Mass]:
    """One acceptance, and a look at the token that would have come next.

    The paper's recursion multiplies 1 - q over the rejected tokens, q being a token's probability among those
    that are left; this product is just the probability that is left. Where the next token is not allowed
    either, it has a last factor q, that of the accepted token.

    With `max_rejects`, the token after the last but one rejection is not checked against the next: the weight
    of an acceptance is the probability that is left, that of another rejection 0.
    """
    token = NONE
    rejects = 0
    while (drawn := race.next()) != NONE:
        token = drawn
        if allowed(token):
            if rejects + 1 == max_rejects:
                return Outcome(token, race.rest(), 1, 1)
            following = race.next()
            if following != NONE and allowed(following):
                return Outcome(token, race.rest(), 1, 1)
            return Outcome(token, race.mass(token), 1, 1)
        race.reject(token)
        rejects += 1
        if rejects == max_rejects:
            break
    return Outcome(token, race.whole, 0, 1)


def two_loop(race: Race[Mass], allowed: Allowed, max_rejects: int | None) -> Outcome[Mass]:
    """The paper's two loops: an acceptance, then all tokens but the rejected ones up to another acceptance.

    The weight is the probability not rejected in the first loop by one more than the rejections in both.

    With `max_rejects` = r, the second loop ends at the r-th rejection, and then the divisor is r. (For given
    rejections y1, ..., yn, the accepted token may have come before any of them; these cases have equal shares
    p(x) / m of its weight if all m of them divide by m: m = n + 1 where an acceptance ends the second loop,
    but r where the r-th rejection does, since the token can't have come after that one.) As r - 1 rejections
    make the divisor r in both cases, nothing more is asked after them.
    """
    token = NONE
    rejects = 0
    while (drawn := race.next()) != NONE:
        token = drawn
        if allowed(token):
            break
        race.reject(token)
        rejects += 1
        if rejects == max_rejects:
            return Outcome(token, race.whole, 0, 1)
    else:
        return Outcome(token, race.whole, 0, 1)
    rest = race.rest()
    race.put_back(token)
    while rejects + 1 != max_rejects and not allowed(drawn := race.next()):
        race.reject(drawn)
        rejects += 1
    return Outcome(token, rest, 1, rejects + 1)


def geometric(race: Race[Mass], allowed: Allowed, max_rejects: int | None, max_accepts: int) -> Outcome[Mass]:
    """Draws with replacement up to `max_accepts` acceptances, without asking about any token twice.

    The weight is the share of acceptances among all draws but the last, the unbiased estimate under inverse
    binomial sampling (Haldane 1945). A rejected token that would have been drawn again counts as a rejection.
    With `max_rejects`, the draws end with that rejection, too, and the same share is unbiased.
    """
    token = NONE
    accepts = rejects = 0
    known = set()
    while accepts < max_accepts:
        drawn = race.next()
        if drawn == NONE:
            break
        rejects += race.repeats(None if max_rejects is None else max_rejects - rejects)
        if rejects == max_rejects:
            break
        token = drawn if accepts == 0 else token
        if drawn in known or allowed(drawn):
            accepts += 1
            known.add(drawn)
            race.put_back(drawn)
        else:
            rejects += 1
            race.reject(drawn)
            if rejects == max_rejects:
                break
    if accepts == 0:
        return Outcome(token, race.whole, 0, 1)
    return Outcome(token, race.whole, min(max_accepts - 1, accepts), accepts + rejects - 1)
