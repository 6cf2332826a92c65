"""A penalty on repeated structure."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from structgen.hf._assistant import check_width
from structgen.hf._history import RowHistory
from structgen.hf._json_path import JsonPath
from structgen.hf._structure_path import Critical, StructurePath
from structgen.hf._symbol_path import SymbolPath, names_statements

# Tokens that rows had to choose besides critical ones, of which so many are remembered.
_KNOWN_FREE = 4

_HINT = "assistants with another tokenizer are not for generations with this penalty"


class GrammarRepetitionPenalty(LogitsProcessor):  # type: ignore[misc]
    r"""Make it less likely to begin another copy of a structure that the output has just repeated.

    The grammar tells the output's structure, a sequence of symbols. Where a unit of symbols has been
    followed by itself, the *critical* tokens are those that begin the next copy; their scores fall by
    ``-log(decay)`` for each copy after the first. All other tokens keep their scores. The grammar is only
    observed: use :class:`AutomatonLogitsProcessor` besides, in front of it, to enforce it.

    Parameters
    ----------
    automaton : TokenAutomaton
        Of a Lark grammar or a JSON Schema: an automaton with structure events. The generated text is read
        from its start.
    decay : float, default 0.9
        Factor on the probability of a critical token, before renormalisation, for each copy; in (0, 1].
    level : str, default "statement"
        What a symbol is.

        Of JSON Schemas: "statement" is an element of an array, each array on its own. Elements are alike if
        they have the same keys, in this order, and values of the same kinds (string, number, literal, object,
        array with elements alike). The name of a schema (``"#/properties/rows/items"``, see
        :class:`structgen.Event`): only the elements that this schema certainly reads. "terminal": a lexeme,
        keys by their text and other scalars by their kind, whatever it is nested in.

        Of Lark grammars: "terminal" is a terminal. "statement": what the rules named ``stmt`` or
        ``statement``, or with such an end, read; any other name: what the rule or alias of this name reads.
        The symbol of a rule is the sequence of names of the terminals since the symbol before. So inner rules
        come out of the outer ones: what stands in front of the first inner one belongs to it, and what is
        behind the last is a symbol of its own. An indent or dedent ends a symbol; terminals that are only
        white space count as ignored text.
    window : int, default 128
        Symbols (and bytes, inside a lexeme) among which repeats are looked for: two copies must fit.
    end_boost : float, default 1.0
        Factor, at least 1, on the probability of the end tokens for each copy, where a copy of symbols or of
        text could begin. 1 leaves scores that never rise.
    content : bool, default True
        Whether repeated text inside one lexeme counts, too: strings and comments. Repeats have at least
        8 bytes in all and a letter or digit in their unit, so rules, padding and delimiters are spared.
    prompt_length : int, optional
        As for :class:`AutomatonLogitsProcessor`.

    Raises
    ------
    ValueError
        An argument is out of range, no rule or schema has the name `level`, or the automaton has no structure
        events.
    TypeError
        ``automaton`` is no automaton.

    Notes
    -----
    A unit's copies are counted from where the repeating begins: after ``C A B A B`` the next ``A`` is
    critical, and nothing after ``C A B A B A``.

    Critical tokens are found by their text. Let r be the first lexeme of the unit, as it was spelled in any
    of the last 16 copies, with and without the ignored text in front of it. Where the copy before is not
    complete, r may stand behind what ended the last one: up to four lexemes, of the first of which a
    delimiter may be left (``),`` between the rows of an INSERT, or ``'),``). Only tokens are critical which
    the automaton says complete the copy. A token is critical if it spells a beginning of r that reaches
    into the lexeme, or begins with r. Inside a lexeme, it is a token that goes on with the repeated text
    and reaches into the next copy.

    In JSON, critical are the tokens with the comma behind an element: the comma alone, or with what
    completes the element in front of it (``",``, ``},``), wherever the array could also end there.

    Closing brackets alone are never penalised, nor what the grammar forces, nor rows of which other
    processors left critical tokens only. What is unknown to the grammar (events of kind "unknown") ends all
    repeats.

    Text outside the language switches the penalty off for its row. Behind the next line feed, also inside a
    token, reading begins anew, and repeats are counted anew: at the grammar's start, or, where indentation
    means something and the line is indented, as if it were the first of a block (that of ``if x:``). A line
    that then fits neither, as one with less indentation that is still indented, is outside the language
    again.

    Rows may be reordered, dropped or rewound between calls, as for :class:`AutomatonLogitsProcessor`; an
    object serves one generation at a time, and any number one after the other. So prompt lookup works, and
    so do assistants with the model's own tokenizer; others are refused.

    References
    ----------
    Dong et al., "Rethinking Repetition Problems of LLMs in Code Generation", ACL 2025 (RPG). There the
    penalty is on logits; here it is on log-probabilities, so that it never raises a score.
    """

    # As for the constraint: packed rows are not rows.
    supports_continuous_batching = False

    def __init__(
        self,
        automaton: Any,
        decay: float = 0.9,
        level: str = "statement",
        window: int = 128,
        end_boost: float = 1.0,
        content: bool = True,
        *,
        prompt_length: int | None = None,
    ) -> None:
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be in (0, 1], not {decay}")
        if not 1 <= end_boost < math.inf:
            raise ValueError(f"end_boost must be at least 1 and finite, not {end_boost}")
        if window < 2:
            raise ValueError(f"window must be at least 2, not {window}")
        if not level:
            raise ValueError("level must be 'statement', 'terminal' or the name of a rule")
        if prompt_length is not None and prompt_length < 0:
            raise ValueError(f"prompt_length must not be negative, but is {prompt_length}")
        if not hasattr(automaton, "events") or not hasattr(automaton, "vocabulary"):
            raise TypeError(f"expected a TokenAutomaton, not {type(automaton).__name__}")
        try:
            names = automaton.rule_names
        except ValueError as error:
            raise ValueError(
                "the automaton has no structure events: pass one of compile_lark or compile_json_schema"
            ) from error
        json = automaton.reads_json
        _check_level(level, names, json, content)
        self._decay = math.log(decay)
        self._boost = math.log(end_boost)
        kind = JsonPath if json and level != "terminal" else SymbolPath
        self._path: StructurePath[Any] = kind(automaton, level, window, content)
        self._ends = sorted(automaton.vocabulary.eos_token_ids)
        self._free: list[int] = []
        # The history asks constraints for nothing but root(), child() and the children of a node.
        self._tokens = len(automaton.vocabulary)
        self._width: int | None = None
        self._history = RowHistory([cast(Any, self._path)], prompt_length)

    def reset(self) -> None:
        """Forget all rows: the next call starts a generation."""
        self._history.reset()
        self._width = None

    def __call__(self, input_ids: torch.LongTensor, scores: Tensor) -> Tensor:
        """Return `scores` with those of critical tokens lowered, a copy if any is.

        `scores` stay as they are, since ``generate`` hands out the same tensor with ``output_logits``.

        Parameters
        ----------
        input_ids : LongTensor
            Prompt and generated tokens, shape ``(B, L)``.
        scores : Tensor
            Logits or log-probabilities of the next token, floating point, shape ``(B, V)``.

        Returns
        -------
        Tensor
            Shape, dtype and device of `scores`.

        Raises
        ------
        ValueError
            `scores` is narrower than the vocabulary, or not as wide as at the last call.
        """
        check_width(scores.shape[-1], self._width, self._tokens, _HINT)
        self._width = scores.shape[-1]
        rows: list[int] = []
        found: list[Critical] = []
        for row, node in enumerate(self._history.update(input_ids)):
            place: Any = node
            critical = place.critical
            if critical is None:
                critical = self._path.critical(place)
            if critical:
                rows.append(row)
                found.append(critical)
        if not rows:
            return scores
        on_host = scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
        if on_host:
            return penalised_on_host(scores, rows, found, self._decay, self._boost, self._ends, self._free)
        return penalised_on_device(scores, rows, found, self._decay, self._boost, self._ends)


def penalised_on_host(
    scores: Tensor,
    rows: list[int],
    found: list[Critical],
    decay: float,
    boost: float,
    ends: list[int],
    free: list[int],
) -> Tensor:
    """Return `scores` with logarithms of factors added in some rows: a few NumPy calls each.

    `free` are tokens that other rows had besides critical ones, which saves a search: rows of one loop have
    mostly the same. What is found here is added.
    """
    before = scores.detach().numpy()
    penalised = before.copy()
    for row, critical in zip(rows, found, strict=True):
        old, line = before[row], penalised[row]
        for _, ids in critical:
            line[ids] = -math.inf
        # Rows that have nothing else to choose are left alone.
        is_free = any(line.item(token) > -math.inf for token in free)
        if not is_free:
            best = int(line.argmax())
            if is_free := line.item(best) > -math.inf:
                free[:] = [best, *free[: _KNOWN_FREE - 1]]
        for count, ids in critical:
            line[ids] = old.take(ids) + (count * decay if is_free else 0.0)
        if boost and is_free:
            line[ends] += critical[-1][0] * boost
    return torch.from_numpy(penalised)


def penalised_on_device(
    scores: Tensor, rows: list[int], found: list[Critical], decay: float, boost: float, ends: list[int]
) -> Tensor:
    """Return what :func:`penalised_on_host` does, without the host waiting for the device."""

    def on_device(array: Any) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(scores.device)

    merged: list[dict[int, int]] = [{} for _ in rows]
    for counts, critical in zip(merged, found, strict=True):
        for count, ids in critical:
            counts.update(dict.fromkeys(ids.tolist(), count))
    lengths = [len(counts) for counts in merged]
    where = on_device(np.repeat(rows, lengths)), on_device([token for counts in merged for token in counts])
    changes = on_device([count * decay for counts in merged for count in counts.values()]).to(scores.dtype)
    penalised = scores.clone()
    penalised[where] = -math.inf
    free = penalised.amax(-1) > -math.inf
    penalised[where] = scores[where] + changes * free[where[0]]
    if boost:
        row_numbers = on_device(rows)
        most = on_device([critical[-1][0] for critical in found]).to(scores.dtype)
        penalised[row_numbers[:, None], on_device(ends)] += (most * boost * free[row_numbers])[:, None]
    return penalised


def _check_level(level: str, names: Sequence[str], json: bool, content: bool) -> None:
    """Raise where nothing could ever be repeated."""
    kind = "schema of objects or arrays" if json else "rule"
    if level in ("terminal", *names) or (level == "statement" and (json or content)):
        return
    if level == "statement":
        if any(map(names_statements, names)):
            return
        raise ValueError(
            "level is 'statement', but no rule is called stmt or statement, or has such an end: "
            "pass 'terminal' or the name of a rule"
        )
    near = get_close_matches(level, ["statement", "terminal", *names], 1)
    hint = f"did you mean {near[0]!r}?" if near else "pass 'statement', 'terminal' or the name of one"
    raise ValueError(f"level is {level!r}, but there is no {kind} of this name: {hint}")
