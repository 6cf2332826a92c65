"""The exceptions of structgen.

::

    StructgenError
    ├── SchemaError                  a JSON Schema that cannot be enforced exactly
    │   └── UnsatisfiableSchemaError     a JSON Schema that no value satisfies
    ├── GrammarError                 a grammar that is invalid or cannot be enforced exactly
    ├── RegexError                   a regular expression that cannot be represented
    ├── LimitError                   a documented limit was reached
    ├── FreezeError                  an automaton whose states remember text, so that no table holds them
    ├── GuardDeadEnd                 guards left no token that could continue the output
    ├── SamplingError                sampling could not give what was asked for
    │   ├── NothingSatisfiesError        no output at all satisfies the constraint
    │   ├── AllParticlesDeadError        the constraint killed every particle
    │   └── BudgetError                  max_tokens is too small for any output that satisfies the constraint
    ├── PotentialError               a potential or predicate whose answers cannot be weighed
    └── VocabularyError              a vocabulary or tokenizer that cannot be used

All of them can be pickled, so that they cross process boundaries whole.
"""

import re
from collections.abc import Sequence
from typing import Any


def _rebuild(cls: type["StructgenError"], message: str, fields: dict[str, Any]) -> "StructgenError":
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(fields)
    return error


class StructgenError(Exception):
    """The base of every error that structgen raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]) if self.args else "", dict(self.__dict__))


class SchemaError(StructgenError):
    """A JSON Schema that is invalid or cannot be enforced exactly.

    Parameters
    ----------
    reason : str
        What is wrong, in one sentence without a full stop.
    pointer : str
        JSON Pointer of the culprit inside the schema; ``""`` is the whole schema.
    keyword : str, optional
        The schema keyword at fault.
    hint : str, optional
        What the author of the schema can do about it.
    """

    def __init__(
        self, reason: str, *, pointer: str = "", keyword: str | None = None, hint: str | None = None
    ) -> None:
        self.reason = reason
        self.pointer = pointer
        self.keyword = keyword
        self.hint = hint
        place = f"at {pointer!r}" if pointer else "at the root"
        if keyword is not None:
            place += f", keyword {keyword!r}"
        super().__init__(f"{place}: {reason}" + (f" (hint: {hint})" if hint else ""))


class UnsatisfiableSchemaError(SchemaError):
    """A JSON Schema that no value satisfies, so that there is nothing to generate."""


class GrammarError(StructgenError):
    """A grammar that is invalid, cannot be enforced exactly, or describes no text.

    Parameters
    ----------
    reason : str
        What is wrong, in one sentence without a full stop.
    source : str, optional
        The text of the grammar.
    name : str, optional
        Where the grammar comes from, such as the path of its file.
    line, column : int, optional
        Where the culprit begins, both counted from 1. The message shows the line with a caret.
    expected : sequence of str
        What could have stood there instead.
    hint : str, optional
        What the author of the grammar can do about it.
    """

    _WINDOW = 60

    def __init__(
        self,
        reason: str,
        *,
        source: str | None = None,
        name: str | None = None,
        line: int | None = None,
        column: int | None = None,
        expected: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        self.source = source
        self.name = name
        self.line = line
        self.column = column
        self.expected = tuple(expected)
        self.hint = hint
        super().__init__(self._render())

    def _render(self) -> str:
        message = self.reason
        if self.line is not None:
            message += f" at line {self.line}"
        if self.column is not None:
            message += f", column {self.column}"
        if self.name is not None:
            message += f" of {self.name}" if self.line is not None else f" in {self.name}"
        if self.source is not None and self.line is not None and self.column is not None:
            message += self._excerpt(self.source, self.line, self.column)
        if self.expected:
            message += "\n  expected: " + ", ".join(self.expected)
        return message + (f"\n  hint: {self.hint}" if self.hint else "")

    def _excerpt(self, source: str, line: int, column: int) -> str:
        """Put the neighbourhood of the culprit on one line, with a caret under the culprit."""
        lines = re.split("\r\n|\r|\n", source)
        text = lines[line - 1] if line <= len(lines) else ""
        first, last = max(0, column - 1 - self._WINDOW), column - 1 + self._WINDOW
        head, tail = "…" if first else "", "…" if last < len(text) else ""
        shown = head + "".join(_printable(c) for c in text[first:last]) + tail
        caret = len(head) + sum(len(_printable(c)) for c in text[first : column - 1])
        return f"\n  {shown}\n  {' ' * caret}^"


class RegexError(StructgenError):
    """A regular expression that is invalid or describes no regular language we can represent.

    Parameters
    ----------
    reason : str
        What is wrong, in one sentence without a full stop.
    pattern : str
        The pattern as it was given.
    position : int, optional
        Index of the culprit in ``pattern``, in code points. The message shows a caret under it.
    """

    _WINDOW = 60

    def __init__(self, reason: str, *, pattern: str, position: int | None = None) -> None:
        self.reason = reason
        self.pattern = pattern
        self.position = position
        super().__init__(self._render())

    def _render(self) -> str:
        """Put the neighbourhood of the culprit on one line, with a caret under the culprit."""
        position = self.position
        first = 0 if position is None else max(0, min(position, len(self.pattern)) - self._WINDOW)
        last = min(len(self.pattern), (0 if position is None else position) + self._WINDOW)
        head, tail = "…" if first else "", "…" if last < len(self.pattern) else ""
        shown = head + "".join(_printable(c) for c in self.pattern[first:last]) + tail
        if position is None:
            return f"{self.reason}\n  {shown}"
        column = len(head) + sum(len(_printable(c)) for c in self.pattern[first:position])
        return f"{self.reason} at position {position}\n  {shown}\n  {' ' * column}^"


def _printable(character: str) -> str:
    """Spell characters that would break the line, or not show at all, as escapes."""
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


class LimitError(StructgenError):
    """A documented limit on time or memory was reached.

    Parameters
    ----------
    message : str
        Which limit, and how to raise it.
    limit : str, optional
        Name of the limit, as the option that sets it is called.
    value : int or float, optional
        The value of the limit that was reached.
    pointer : str, optional
        JSON Pointer of the place in the schema where it was reached, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        value: float | None = None,
        pointer: str | None = None,
    ) -> None:
        self.limit = limit
        self.value = value
        self.pointer = pointer
        super().__init__(message)


class FreezeError(StructgenError):
    """An automaton whose states remember text, of which there is no end, so that no table holds them."""


class GuardDeadEnd(StructgenError):  # noqa: N818 - what happened, not what was done wrong
    """Guards left no token, and the output may not end here.

    Guards are keywords that no automaton expresses; they are checked when a value would end. Each refusal is
    exact, but whether some continuation passes is not always decided ahead.

    Parameters
    ----------
    guard : sequence of str
        Names of the guards that refused.
    """

    def __init__(self, guard: Sequence[str]) -> None:
        self.guard = tuple(guard)
        names = ", ".join(self.guard)
        super().__init__(f"no token satisfies what is checked when a value ends: {names}")


class SamplingError(StructgenError):
    """Sampling could not give what was asked for.

    Parameters
    ----------
    message : str
        What happened, and what to do about it.
    result : SamplingResult, optional
        What there was when sampling stopped: the sequences so far, and where and why particles died.
    """

    def __init__(self, message: str, *, result: Any = None) -> None:
        self.result = result
        super().__init__(message)


class NothingSatisfiesError(SamplingError):
    """No output at all satisfies the constraint: it refuses the empty text, or everything was refused."""


class AllParticlesDeadError(SamplingError):
    """The constraint killed every particle, so that there is nothing to resample from."""


class BudgetError(SamplingError):
    """`max_tokens` is too small for the shortest output that satisfies the constraint.

    Parameters
    ----------
    message : str
        What happened, and what to do about it.
    max_tokens : int
        The limit that was set.
    needed : int, optional
        A number of tokens, the end token included, that is enough for some output, where that is known.
    result : SamplingResult, optional
        What there was when sampling stopped.
    """

    def __init__(
        self, message: str, *, max_tokens: int, needed: int | None = None, result: Any = None
    ) -> None:
        self.max_tokens = max_tokens
        self.needed = needed
        super().__init__(message, result=result)


class VocabularyError(StructgenError):
    """A vocabulary that is inconsistent, or a tokenizer whose bytes cannot be recovered exactly.

    Parameters
    ----------
    reason : str
        What is wrong.
    token_id : int, optional
        The first token at fault, where there is one.
    """

    def __init__(self, reason: str, *, token_id: int | None = None) -> None:
        self.reason = reason
        self.token_id = token_id
        super().__init__(reason if token_id is None else f"token {token_id}: {reason}")


class PotentialError(StructgenError):
    """A potential or predicate that answered NaN or positive infinity, or that breaks a law of potentials.

    Parameters
    ----------
    reason : str
        What is wrong, in one sentence without a full stop.
    potential : str, optional
        Name of the potential.
    context : str, optional
        The text at which it was asked.
    """

    def __init__(self, reason: str, *, potential: str | None = None, context: str | None = None) -> None:
        self.reason = reason
        self.potential = potential
        self.context = context
        who = f"{potential}: " if potential is not None else ""
        where = f" (asked at {context!r})" if context is not None else ""
        super().__init__(who + reason + where)
