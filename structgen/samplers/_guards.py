"""Potentials that no automaton expresses: predicates, JSON Schema, another language model, suffixes."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from structgen._errors import PotentialError, VocabularyError
from structgen.samplers._context import Context
from structgen.samplers._potentials import BasePotential, checked_score, name_of

if TYPE_CHECKING:
    from torch import Tensor

On = Literal["text", "bytes", "tokens", "value"]


def whole_text(data: bytes) -> str:
    """Return the text without an unfinished character at its end; what is not UTF-8 becomes U+FFFD."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data)


class Predicate(BasePotential):
    """A Python function of the text: whether it is right, or a log score.

    Parameters
    ----------
    function : callable
        It answers True, False, or a log score: a float below ``+inf``.
    on : {"text", "bytes", "tokens", "value"}
        What it is called with: the text as ``str``, its ``bytes``, the tuple of token ids without an end
        token, or the value of the text as JSON.
    finished_only : bool, optional
        Whether it judges finished texts alone, so that every unfinished one scores 0. The default is whether
        `on` is ``"value"``, which there is no other way for. A function that is called with unfinished
        texts must stay at ``-inf`` or False once it has said so.
    boolean : bool
        Whether it answers True and False, or 0 and ``-inf``, alone. Pass False with a function that answers
        other log scores.

    Notes
    -----
    With ``on="text"``, an unfinished text is passed without an unfinished UTF-8 character at its end. With
    ``on="value"``, what is no JSON text scores ``-inf`` unasked; numbers are ``int`` and ``float``, and of
    equal keys the last one counts.
    """

    def __init__(
        self,
        function: Callable[[Any], bool | float],
        on: On = "text",
        *,
        finished_only: bool | None = None,
        boolean: bool = True,
    ) -> None:
        if on not in get_args(On):
            raise ValueError(f"on is {on!r}, not one of {', '.join(get_args(On))}")
        if on == "value" and finished_only is False:
            raise ValueError("only a finished text has a value: leave out finished_only, or judge the text")
        self.function = function
        self.on = on
        self.finished_only = on == "value" if finished_only is None else finished_only
        self.boolean = boolean

    def prefix(self, context: Context) -> float:
        """Return the score of an unfinished text, 0 where finished ones alone are judged."""
        if context.ended:
            return self.complete(context)
        return 0.0 if self.finished_only else self._score(context, finished=False)

    def complete(self, context: Context) -> float:
        """Return the score of the text as a finished one."""
        # The parent is the same text, and may be judged already.
        if context.ended and context.parent is not None:
            context = context.parent
        return self._score(context, finished=True)

    def _score(self, context: Context, finished: bool) -> float:
        key = (self, finished)
        score = context.memo.get(key)
        if score is None:
            score = context.memo[key] = self._ask(context, finished)
        return float(score)

    def _ask(self, context: Context, finished: bool) -> float:
        subject: Any
        if self.on == "text":
            subject = context.text if finished else whole_text(context.data)
        elif self.on == "bytes":
            subject = context.data
        elif self.on == "tokens":
            subject = context.tokens
        else:
            try:
                subject = parsed(context.data)
            except ValueError:
                return -math.inf
        answer = self.function(subject)
        if isinstance(answer, (bool, np.bool_)):
            return 0.0 if answer else -math.inf
        try:
            score = float(answer)
        except (TypeError, ValueError):
            raise PotentialError(
                f"the answer is {type(answer).__name__}, neither a truth value nor a log score",
                potential=repr(self),
                context=context.text,
            ) from None
        score = checked_score(score, self, context)
        if self.boolean and score not in (0.0, -math.inf):
            raise PotentialError(
                f"the answer is {answer!r}, and neither a truth value, 0.0 nor -inf; "
                "pass boolean=False if it is a log score",
                potential=repr(self),
                context=context.text,
            )
        return score

    def __repr__(self) -> str:
        return f"Predicate({name_of(self.function)}, on={self.on!r})"


def parsed(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        It is none, with NaN and Infinity refused and nesting beyond the interpreter's means.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


_DRAFTS = {
    "4": "Draft4Validator",
    "6": "Draft6Validator",
    "7": "Draft7Validator",
    "2019-09": "Draft201909Validator",
    "2020-12": "Draft202012Validator",
}


class JsonSchemaGuard(Predicate):
    """Whether the finished text is a JSON text whose value satisfies a schema, as ``jsonschema`` sees it.

    Parameters
    ----------
    schema : dict or bool
        The schema.
    draft : {"4", "6", "7", "2019-09", "2020-12"}, optional
        Its draft. By default ``$schema`` says it, else it is 2020-12.
    formats : {"assert", "annotate"}
        Whether ``format`` is enforced, by the checks of ``jsonschema`` whose libraries are installed.

    Raises
    ------
    jsonschema.SchemaError
        The schema is invalid.
    """

    def __init__(
        self,
        schema: dict[str, Any] | bool,
        draft: str | None = None,
        *,
        formats: Literal["assert", "annotate"] = "assert",
    ) -> None:
        import jsonschema

        if draft is not None and draft not in _DRAFTS:
            raise ValueError(f"draft is {draft!r}, not one of {', '.join(_DRAFTS)}")
        newest: Any = jsonschema.Draft202012Validator
        kind: Any = (
            jsonschema.validators.validator_for(schema, default=newest)
            if draft is None
            else getattr(jsonschema, _DRAFTS[draft])
        )
        kind.check_schema(schema)
        checker = kind.FORMAT_CHECKER if formats == "assert" else None
        self._validator = kind(schema, format_checker=checker)
        super().__init__(self._validator.is_valid, on="value")

    def __repr__(self) -> str:
        return f"JsonSchemaGuard({type(self._validator).__name__})"


class SuffixRegex(BasePotential):
    """Whether the decoded text ends, or never ends, with a match of a regular expression.

    Parameters
    ----------
    pattern : str or re.Pattern
        For Python's ``re``.
    forbidden : bool
        True: no text may hold a match; it is refused as soon as one is there. False: the finished text
        has to end with a match; unfinished ones are free.

    Notes
    -----
    A text that was refused stays refused, though a pattern that looks ahead (``foo$``, ``foo\\b``) might not
    match any longer. With such a pattern, what is refused depends on where tokens end.
    """

    boolean = True

    def __init__(self, pattern: str | re.Pattern[str], *, forbidden: bool = True) -> None:
        self.pattern = re.compile(pattern)
        self.forbidden = forbidden

    def prefix(self, context: Context) -> float:
        """Return 0 unless the text is refused already."""
        if context.ended:
            return self.complete(context)
        return -math.inf if self.forbidden and self._holds(context) else 0.0

    def complete(self, context: Context) -> float:
        """Return 0 where the text, as a finished one, is right."""
        if context.ended and context.parent is not None:
            context = context.parent
        if self.forbidden:
            refused = self._holds(context) or self.pattern.search(context.text)
            return -math.inf if refused else 0.0
        text = context.text
        starts = range(len(text), -1, -1)
        return 0.0 if any(self.pattern.fullmatch(text, start) for start in starts) else -math.inf

    def _holds(self, context: Context) -> bool:
        path = []
        held: bool | None = context.memo.get(self)
        while held is None:
            path.append(context)
            if context.parent is None:
                break
            context = context.parent
            held = context.memo.get(self)
        for context in reversed(path):
            held = bool(held or self.pattern.search(whole_text(context.data)))
            context.memo[self] = held
        return bool(held)

    def __repr__(self) -> str:
        return f"SuffixRegex({self.pattern.pattern!r}, forbidden={self.forbidden})"


class LanguageModelPotential(BasePotential):
    """The log-probability of the text under another language model, times a weight.

    A finished text counts with the probability of all end tokens together. The target of a sampler with
    this critic is the product of the models, the other one to the power of the weight.

    Parameters
    ----------
    model : LanguageModel
        With the vocabulary of the texts. Its rows are begun without any prompt but its own.
    weight : float
        Positive: the power of the model's probability.
    max_tokens : int
        The longest text, end token included. It matters to models whose cache has a fixed size.

    Notes
    -----
    What it needs is computed for whole batches and kept with the contexts. Texts that are each one token
    longer than those of the call before, whatever their order, cost one step of the model; others are run
    through it from their beginning.
    """

    def __init__(self, model: Any, weight: float = 1.0, *, max_tokens: int = 1024) -> None:
        if not 0 < weight < math.inf:
            raise ValueError(f"weight is {weight}; it must be positive and finite")
        self.model = model
        self.weight = weight
        self.max_tokens = max_tokens
        self._rows: Any = None
        self._last: list[Context] = []
        """The contexts of the rows."""

    def prefix(self, context: Context) -> float:
        """Return the weighted log-probability of an unfinished text."""
        return self.prefix_many([context])[0]

    def complete(self, context: Context) -> float:
        """Return the weighted log-probability of the text and an end token after it."""
        return self.complete_many([context])[0]

    def prefix_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`prefix` of each, in as few steps of the model as there are new tokens."""
        self._score([c.parent if c.ended and c.parent else c for c in contexts])
        ended = [c for c in contexts if c.ended]
        ends = iter(self.complete_many(ended) if ended else [])
        return [next(ends) if c.ended else float(c.memo[self]) for c in contexts]

    def complete_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`complete` of each."""
        texts = [c.parent if c.ended and c.parent else c for c in contexts]
        self._score(texts)
        self._predict([c for c in texts if c.memo[self] > -math.inf])
        scores = []
        for c in texts:
            score: float = c.memo[self]
            if score > -math.inf:
                ends = list(c.vocabulary.eos_token_ids)
                score += self.weight * float(torch.logsumexp(self._row(c)[ends], dim=0))
            scores.append(score)
        return scores

    def _row(self, context: Context) -> Tensor:
        row: Tensor = context.memo[self, "logprobs"]
        return row

    def _score(self, contexts: Sequence[Context]) -> None:
        """Note the scores of the texts and of their prefixes, shortest first."""
        unknown: dict[int, dict[Context, None]] = {}
        for context in contexts:
            at: Context | None = context
            while at is not None and self not in at.memo:
                unknown.setdefault(at.length, {})[at] = None
                at = at.parent
        for length in sorted(unknown):
            level = list(unknown[length])
            parents = [c.parent for c in level if c.parent is not None]
            self._predict([p for p in dict.fromkeys(parents) if p.memo[self] > -math.inf])
            for context in level:
                context.memo[self] = self._step(context)

    def _step(self, context: Context) -> float:
        if context.parent is None:
            if self.model.vocabulary != context.vocabulary:
                raise VocabularyError("the other language model has another vocabulary than the texts")
            return 0.0
        before: float = context.parent.memo[self]
        if before == -math.inf:
            return before
        step = self.weight * float(self._row(context.parent)[context.token])
        return checked_score(before + step, self, context)

    def _predict(self, contexts: Sequence[Context]) -> None:
        """Note the log-probabilities of the tokens after texts that have not ended."""
        missing = [c for c in contexts if (self, "logprobs") not in c.memo]
        if not missing:
            return
        places = {context: row for row, context in enumerate(self._last)}
        parents = [c.parent for c in missing if c.parent is not None]
        if len(parents) == len(missing) and all(p in places for p in parents):
            self._rows.select([places[p] for p in parents])
            self._rows.append([c.token for c in missing])
            self._note(missing)
            return
        lengths = sorted({c.length for c in missing})
        for length in lengths:
            level = [c for c in missing if c.length == length]
            self._rows = self.model.begin(len(level), max_tokens=self.max_tokens)
            for column in zip(*(c.tokens for c in level), strict=True):
                self._rows.append(list(column))
            self._note(level)

    def _note(self, contexts: list[Context]) -> None:
        logprobs = self._rows.logprobs().double().cpu()
        for context, row in zip(contexts, logprobs, strict=True):
            context.memo[self, "logprobs"] = row
        self._last = contexts

    def __repr__(self) -> str:
        return f"LanguageModelPotential({type(self.model).__name__}, weight={self.weight})"
