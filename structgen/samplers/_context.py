"""The text generated so far, as a persistent sequence of tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from structgen._errors import VocabularyError
from structgen._vocabulary import Vocabulary


class Context:
    """The text generated so far, without the prompt: an immutable sequence of tokens that shares its past.

    A context is its parent and one more token, so that particles with a common past share it, and what a
    potential remembers about a prefix serves all of its continuations.

    Attributes
    ----------
    parent : Context or None
        The context without the last token; None at the root.
    token : int
        The last token; -1 at the root.
    length : int
        Number of tokens.
    vocabulary : Vocabulary
        What the tokens mean.
    memo : dict
        What potentials remember here (the state of an automaton, a score), each under a key of its own,
        usually itself.

    Notes
    -----
    Two contexts are equal when they are the same object. Make them with :meth:`root`, :meth:`extend` and
    :meth:`extend_all`.
    """

    __slots__ = ("_data", "_ends", "_silent", "length", "memo", "parent", "token", "vocabulary")

    parent: Context | None
    token: int
    length: int
    vocabulary: Vocabulary
    memo: dict[Any, Any]
    _ends: frozenset[int]
    _silent: frozenset[int]
    _data: bytes | None

    @classmethod
    def root(cls, vocabulary: Vocabulary) -> Context:
        """Return the empty text.

        Parameters
        ----------
        vocabulary : Vocabulary
            Of the tokens to come.

        Returns
        -------
        Context
        """
        ends = frozenset(vocabulary.eos_token_ids)
        return cls._make(None, -1, 0, vocabulary, ends, ends.union(vocabulary.special_token_ids))

    @classmethod
    def _make(
        cls,
        parent: Context | None,
        token: int,
        length: int,
        vocabulary: Vocabulary,
        ends: frozenset[int],
        silent: frozenset[int],
    ) -> Context:
        self = cls.__new__(cls)
        self.parent = parent
        self.token = token
        self.length = length
        self.vocabulary = vocabulary
        self.memo = {}
        self._ends = ends
        self._silent = silent
        self._data = None
        return self

    def extend(self, token: int) -> Context:
        """Return the context with one more token.

        Parameters
        ----------
        token : int
            Id in ``range(len(vocabulary))``.

        Returns
        -------
        Context
            A new object at every call.

        Raises
        ------
        VocabularyError
            The id is out of range.
        ValueError
            The text has ended already.
        """
        if not 0 <= token < len(self.vocabulary):
            raise VocabularyError(f"out of range for {len(self.vocabulary)} tokens", token_id=int(token))
        if self.ended:
            raise ValueError(f"nothing follows end token {self.token}")
        return self._make(self, int(token), self.length + 1, self.vocabulary, self._ends, self._silent)

    def extend_all(self, tokens: Iterable[int]) -> Context:
        """Return the context with more tokens, by :meth:`extend` with each."""
        context = self
        for token in tokens:
            context = context.extend(token)
        return context

    @property
    def tokens(self) -> tuple[int, ...]:
        """All tokens from the first to the last, an end token included."""
        backwards = []
        context: Context | None = self
        while context is not None and context.parent is not None:
            backwards.append(context.token)
            context = context.parent
        return tuple(reversed(backwards))

    @property
    def data(self) -> bytes:
        """The bytes of the text; special and end tokens add none."""
        if self._data is None:
            # Not recursive: a text may be longer than the interpreter's stack is deep.
            parts = []
            context: Context = self
            while context.parent is not None and context._data is None:
                if context.token not in self._silent:
                    parts.append(self.vocabulary.tokens[context.token])
                context = context.parent
            parts.append(context._data or b"")
            self._data = b"".join(reversed(parts))
        return self._data

    @property
    def text(self) -> str:
        """The text; bytes that are not UTF-8, or not yet, become U+FFFD."""
        return self.data.decode("utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        """Whether the last token is an end token."""
        return self.token in self._ends

    def __repr__(self) -> str:
        ended = ", ended" if self.ended else ""
        return f"<Context of {self.length} tokens{ended}: {self.text!r}>"
