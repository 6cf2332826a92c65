"""What all sequence samplers share: seeds, time, progress, and the rows of the batch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import torch
from torch import Tensor

from structgen._errors import BudgetError, GuardDeadEnd, NothingSatisfiesError
from structgen.samplers._context import Context
from structgen.samplers._language_models import ExtensibleRows, LanguageModel, Rows
from structgen.samplers._potentials import AutomatonPotential, Potential, Product, prefix_score

Part = Literal["model", "constraint"]

Progress = bool | Callable[[int, int], None]
"""Whether to show a progress bar; or what to call with the steps done and their greatest number."""


class Run:
    """One run of a sampler: its random numbers, its clock and its progress.

    Parameters
    ----------
    seed, generator : optional
        At most one of them. Without either, a seed is drawn from torch's global generator.
    progress : bool or callable, optional
        See `Progress`.
    total : int
        The greatest number of steps of progress.
    prompts : int
        Number of prompts, whose seeds count up from `seed`: what one of them draws does not depend on the
        others. A generator serves all of them.
    """

    def __init__(
        self,
        seed: int | None,
        generator: torch.Generator | None,
        progress: Progress | None,
        total: int,
        prompts: int = 1,
    ) -> None:
        if seed is not None and generator is not None:
            raise ValueError("give a seed or a generator, not both")
        self.seeds: list[int | None] = [None] * prompts
        self.generators = [generator] * prompts if generator is not None else []
        if generator is None:
            first = int(torch.randint(2**62, ())) if seed is None else seed
            self.seeds = [first + i for i in range(prompts)]
            # They live on the host: a seed means the same on every device.
            self.generators = [torch.Generator().manual_seed(first + i) for i in range(prompts)]
        self._began = time.perf_counter()
        self._seconds: dict[Part, float] = {"model": 0.0, "constraint": 0.0}
        self._report, self._close = _reporter(progress, total)
        self._total = total

    @property
    def seed(self) -> int | None:
        """The seed of the first prompt, or None where a generator was given."""
        return self.seeds[0]

    @property
    def generator(self) -> torch.Generator:
        """The generator of the first prompt."""
        return self.generators[0]

    @contextmanager
    def timed(self, part: Part) -> Iterator[None]:
        """Count the time of the body as the model's or the constraint's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - began

    def seconds(self) -> dict[str, float]:
        """Return the time by part."""
        rest = time.perf_counter() - self._began - sum(self._seconds.values())
        return {"model": self._seconds["model"], "constraint": self._seconds["constraint"], "sampler": rest}

    def progress(self, done: int) -> None:
        """Report steps done."""
        self._report(done, self._total)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def _reporter(
    progress: Progress | None, total: int
) -> tuple[Callable[[int, int], object], Callable[[], object]]:
    if progress is None or progress is False:
        return (lambda done, total: None), (lambda: None)
    if callable(progress):
        return progress, (lambda: None)
    from tqdm.auto import tqdm

    bar = tqdm(total=total)
    return (lambda done, total: bar.update(done - bar.n)), bar.close


class Lanes:
    """The rows of a batch, and which particle each of them is.

    A particle that needs no further token keeps its row, and is fed padding, until at most half of the rows
    are still needed; then the others are dropped. Dropping rows copies the cache, so it should not happen at
    every end; resampling copies it anyway and drops them, too.

    Parameters
    ----------
    model : LanguageModel
        Begins the rows.
    count : int
        Number of particles per prompt.
    prompts : int
        Number of prompts. Particle ``i`` follows prompt ``i // count``.
    max_tokens : int
        The most tokens that any of them will get.
    run : Run
        Keeps the model's time.
    """

    def __init__(self, model: LanguageModel, count: int, prompts: int, max_tokens: int, run: Run) -> None:
        if getattr(model, "prompts", 1) != prompts:
            raise ValueError("the model has several prompts; this takes one, and SMC.run_prompts any number")
        self._run = run
        # Any id will do: what follows an end is not looked at.
        self._padding = model.vocabulary.eos_token_ids[0]
        with run.timed("model"):
            self._rows: Rows = model.begin(count, max_tokens=max_tokens)
        self._owners = list(range(count * prompts))

    def __len__(self) -> int:
        return len(self._owners)

    def logprobs(self, particles: Sequence[int]) -> Tensor:
        """Return the log-probabilities of the next token of each of the particles, (n, V)."""
        with self._run.timed("model"):
            logprobs = self._rows.logprobs()
            if logprobs.is_cuda:
                # Else the model's time would be counted where its result is first read.
                torch.cuda.synchronize(logprobs.device)
        if list(particles) == self._owners:
            return logprobs
        row = {owner: i for i, owner in enumerate(self._owners)}
        index = torch.tensor([row[particle] for particle in particles], device=logprobs.device)
        return logprobs.index_select(0, index)

    def advance(self, tokens: Mapping[int, int], ancestors: Sequence[int] | None = None) -> None:
        """Add a token to each particle that goes on.

        Parameters
        ----------
        tokens : mapping
            From the particles that go on to their tokens; at least one.
        ancestors : sequence of int, optional
            The particle whose row, before this token, each particle goes on from; the default is its own.
        """
        with self._run.timed("model"):
            self._keep(list(tokens), ancestors)
            self._rows.append([tokens.get(owner, self._padding) for owner in self._owners])

    def extend(
        self, tokens: Mapping[int, Sequence[int]], ancestors: Sequence[int] | None = None
    ) -> dict[int, list[float]]:
        """Add any number of tokens, but one at least, to each particle that goes on, in one forward pass.

        Parameters
        ----------
        tokens, ancestors
            As of :meth:`advance`.

        Returns
        -------
        dict
            From the particles to the log-probabilities of their tokens but the first.

        Raises
        ------
        ValueError
            The model cannot do that; the message says why.
        """
        if not isinstance(self._rows, ExtensibleRows):
            raise ValueError(
                f"forced text needs a language model whose rows take several tokens at once, and "
                f"{type(self._rows).__name__} has no method extend: use forced=None"
            )
        with self._run.timed("model"):
            self._keep(list(tokens), ancestors)
            logprobs = self._rows.extend([tokens.get(owner, [self._padding]) for owner in self._owners])
        return {owner: row for owner, row in zip(self._owners, logprobs, strict=True) if owner in tokens}

    def _keep(self, particles: list[int], ancestors: Sequence[int] | None) -> None:
        """Make rows of those that the particles go on from; drop others once they are half of them."""
        before = particles if ancestors is None else [ancestors[particle] for particle in particles]
        if before != particles or 2 * len(particles) <= len(self._owners):
            row = {owner: i for i, owner in enumerate(self._owners)}
            index = [row[particle] for particle in before]
            if index != list(range(len(self._owners))):
                self._rows.select(index)
            self._owners = particles


def check_start(root: Context, potentials: Sequence[Potential | None], max_tokens: int) -> None:
    """Refuse what cannot succeed.

    Raises
    ------
    ValueError
        `max_tokens` is less than 1.
    NothingSatisfiesError
        A potential refuses the empty text with all of its continuations.
    BudgetError
        `max_tokens` tokens, of whatever kind, have too few bytes for the shortest text.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}; at least the end token has to fit")
    for potential in potentials:
        if potential is not None and prefix_score(potential, root) == float("-inf"):
            raise NothingSatisfiesError(
                f"{potential!r} refuses every text, so nothing can be generated: correct the constraint"
            )
    shortest = shortest_text(potentials[0], root)
    longest = max(map(len, root.vocabulary.tokens))
    if shortest is not None and longest * (max_tokens - 1) < len(shortest):
        error = budget_error(potentials[0], root, max_tokens)
        assert error is not None
        raise error


def shortest_text(potential: Potential | None, root: Context) -> bytes | None:
    """Return the shortest text that the automata of a constraint allow, as far as that is known."""
    factors = potential.factors if isinstance(potential, Product) else (potential,)
    texts = []
    for factor in factors:
        if isinstance(factor, AutomatonPotential):
            # Guards may leave no shortest text that they are sure of.
            with suppress(GuardDeadEnd):
                texts.append(bytes(factor.states.shortest(factor.state(root))))
    # Each is a lower bound of the whole constraint's, so the longest says most.
    return max(texts, key=len, default=None)


def automaton_part(potential: Potential) -> AutomatonPotential | None:
    """Return the first factor of a constraint that is an automaton."""
    factors = potential.factors if isinstance(potential, Product) else (potential,)
    return next((factor for factor in factors if isinstance(factor, AutomatonPotential)), None)


def budget_error(
    potential: Potential | None, root: Context, max_tokens: int, result: Any = None
) -> BudgetError | None:
    """Return the error where the shortest text does not fit; None where it does or is not known."""
    shortest = shortest_text(potential, root)
    if shortest is None:
        return None
    needed = fewest_tokens(shortest, root)
    if needed is not None and needed <= max_tokens:
        return None
    message = f"max_tokens={max_tokens} is too small: the shortest output has {len(shortest)} bytes"
    if needed is None:
        message += "; raise max_tokens"
    else:
        message += f", which take {needed} tokens with the end token; raise max_tokens to at least that"
    return BudgetError(message, max_tokens=max_tokens, needed=needed, result=result)


def fewest_tokens(text: bytes, root: Context) -> int | None:
    """Return the fewest ordinary tokens that spell `text`, and one for the end; None where none do."""
    vocabulary = root.vocabulary
    excluded = {*vocabulary.special_token_ids, *vocabulary.eos_token_ids}
    tokens = {token for i, token in enumerate(vocabulary.tokens) if token and i not in excluded}
    longest = max(map(len, tokens), default=0)
    fewest: list[int | None] = [0]
    for end in range(1, len(text) + 1):
        counts = [
            before
            for start in range(max(0, end - longest), end)
            if (before := fewest[start]) is not None and text[start:end] in tokens
        ]
        fewest.append(min(counts) + 1 if counts else None)
    return None if fewest[-1] is None else fewest[-1] + 1


def skip(generator: torch.Generator, count: int) -> None:
    """Take as many random numbers as so many draws from masks take.

    Where forced tokens take them, too, one sequence that is drawn alone is the same for a seed whether
    forced tokens are drawn or not.
    """
    torch.rand(count, dtype=torch.float64, generator=generator, device=generator.device)


def check_positive(name: str, value: int | None) -> None:
    """Raise ValueError for a setting that is less than 1."""
    if value is not None and value < 1:
        raise ValueError(f"{name} is {value}, and must be at least 1")
