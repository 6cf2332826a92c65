"""What sequence samplers return."""

import dataclasses
import json
import math
import os
from collections.abc import Callable
from typing import Any, Literal

from structgen._vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class Sequence:
    """One particle at the end of a run."""

    tokens: tuple[int, ...]
    """What was generated; the end token included."""
    text: str
    """The decoded text; bytes that are no UTF-8 show as replacement characters."""
    log_weight: float
    """The unnormalised log-weight; -inf for a particle that died."""
    weight: float
    """The normalised weight: all of a result sum to 1."""
    log_probability: float
    """The model's log-probability of the tokens."""
    finished: bool
    """Whether it reached an end token."""
    value: Any = None
    """The parsed text, where `SamplingResult.parsed` was asked for it."""

    @property
    def steps(self) -> int:
        """Number of tokens generated."""
        return len(self.tokens)


Cause = Literal["token", "length", "critic"]


@dataclasses.dataclass(frozen=True, slots=True)
class Death:
    """Where a constraint killed a particle."""

    step: int
    """Tokens that it had before."""
    particle: int
    """Its index at that step."""
    cause: Cause
    """No token was acceptable; it could not end within `max_tokens`; the critic refused it."""
    text: str
    """The text that had no continuation, or, of a critic, the text that it refused."""


@dataclasses.dataclass(frozen=True, slots=True)
class SamplingResult:
    """The weighted sequences of one run, and how it went.

    Lists `ess`, `ancestors`, `tokens` and `log_weights` have one entry per step of the population; they are
    empty for samplers that work in rounds.
    """

    sequences: list[Sequence]
    """One per particle, in the order of the particles."""
    log_evidence: float
    """Estimate of the log-probability that the model alone satisfies the constraint within `max_tokens`."""
    method: str
    """The sampler and its settings."""
    seed: int | None
    """The seed, or None where a generator was given."""
    ess: list[float] = dataclasses.field(default_factory=list)
    """Effective sample size after each step, before resampling."""
    resampled: list[int] = dataclasses.field(default_factory=list)
    """The steps after which the particles were resampled."""
    ancestors: list[list[int]] = dataclasses.field(default_factory=list)
    """Of each step, the particle that each particle was before this step: the genealogy."""
    tokens: list[list[int]] = dataclasses.field(default_factory=list)
    """Of each step, the token drawn for each particle, before resampling; -1 for none. Not forced ones."""
    log_weights: list[list[float]] = dataclasses.field(default_factory=list)
    """Of each step, the log-weights of the particles, before resampling."""
    deaths: list[Death] = dataclasses.field(default_factory=list)
    """Every particle that a constraint killed."""
    calls: int = 0
    """How often the constraint was asked about a single token or text; masks do not count."""
    drawn: int = 0
    """Number of tokens drawn, also those of particles that did not survive."""
    acceptance_rate: float | None = None
    """Share of the proposals that were accepted, of samplers that accept and reject whole sequences."""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """Wall-clock time: ``model``, ``constraint`` (token sampler and critic) and ``sampler`` (the rest)."""
    vocabulary: Vocabulary | None = dataclasses.field(default=None, repr=False)
    """What the token ids mean; not part of the JSON."""

    @property
    def calls_per_token(self) -> float:
        """How often the constraint was asked, per token drawn."""
        return self.calls / self.drawn if self.drawn else 0.0

    def posterior(self) -> dict[str, float]:
        """Return the weight of each distinct text, the heaviest first; texts of no weight are left out."""
        total: dict[str, float] = {}
        for sequence in self.sequences:
            if sequence.weight > 0:
                total[sequence.text] = total.get(sequence.text, 0.0) + sequence.weight
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def parsed(self, parse: Callable[[str], Any] = json.loads) -> "SamplingResult":
        """Return the result with the value of each sequence that has weight.

        Parameters
        ----------
        parse : callable
            From the text to its value. What it raises is passed on.
        """
        sequences = [
            dataclasses.replace(s, value=parse(s.text)) if s.weight > 0 else s for s in self.sequences
        ]
        return dataclasses.replace(self, sequences=sequences)

    def to_records(self) -> list[dict[str, Any]]:
        """Return one dict per sequence: its fields and the number of steps."""
        return [
            {**{f.name: getattr(s, f.name) for f in dataclasses.fields(s)}, "steps": s.steps}
            for s in self.sequences
        ]

    def to_pandas(self) -> Any:
        """Return the sequences as a ``pandas.DataFrame``, one row each.

        Raises
        ------
        ModuleNotFoundError
            pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "to_pandas needs pandas: install it, or use to_records or to_json", name=error.name
            ) from error
        return pandas.DataFrame(self.to_records())

    def to_json(self, indent: int | None = None) -> str:
        """Return everything as JSON.

        Numbers that JSON does not have, like the log-weight -inf, are null; values that it does not have are
        strings, their ``repr``.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "vocabulary"}
        fields["sequences"] = self.to_records()
        fields["deaths"] = [dataclasses.asdict(death) for death in self.deaths]
        fields["calls_per_token"] = self.calls_per_token
        return json.dumps(_finite(fields), indent=indent, ensure_ascii=False, allow_nan=False, default=repr)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a page that shows the genealogy of the particles, and write it to a file.

        It shows who was resampled from whom, with what weights, where a constraint killed a particle, and the
        tokens where one points. The page needs nothing else, runs no scripts, and shows texts escaped. Its
        size is about 0.5 kB per particle and step.

        Parameters
        ----------
        path : path-like, optional
            File to write, in UTF-8. Without it, the page is returned only.

        Returns
        -------
        str
            The HTML document.
        """
        from structgen.samplers._html import page

        document = page(self)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(document)
        return document

    def _repr_html_(self) -> str:
        """Return the same view for notebooks."""
        from structgen.samplers._html import fragment

        return fragment(self)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
