"""Native core: regex residuals, lazy lexers, the residual parser and token masks.

Front ends lower into :class:`Builder`; everything it returns is a plain ``int`` handle.
Five kinds of handle exist and must not be mixed: *regexes* (methods ``re_*``, languages of
strings of Unicode code points), *expressions* (languages of byte strings), *goals* (conditions
on counters), *guards* (checks on texts) and *patterns* (methods ``pat_*``, regexes whose
matches have an order).
"""

import builtins
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from structgen._structure import Event
from structgen.frozen import DeviceAutomaton

# The ranges of characters that one item of a pattern of re matches under flags of it.
_Ask = Callable[[str, int], Sequence[tuple[int, int]]]

DEAD: int
FINISHED: int

@final
class NativeVocabulary:
    """Token bytes, the token trie and the tables that grammars of one vocabulary share."""

    def __init__(
        self,
        tokens: Sequence[bytes],
        eos_token_ids: Sequence[int],
        special_token_ids: Sequence[int],
        logits_size: int,
        table_bytes: int = ...,
    ) -> None: ...
    @property
    def mask_words(self) -> int: ...
    @property
    def max_token_bytes(self) -> int: ...
    @property
    def missing_bytes(self) -> bytes: ...
    def beginnings(self, text: bytes, beyond: int = ...) -> list[int]:
        """Return the tokens that are a beginning of `text` longer than `beyond` bytes, the shortest first."""

    def beginnings_and_longer(self, text: bytes, beyond: int = ...) -> list[int]:
        """Return the tokens of :meth:`beginnings`, and then those that begin with `text` and have more."""

    def stats(self) -> dict[str, int]: ...

@final
class Builder:
    """Intermediate representation: what front ends lower into.

    Regexes denote sets of strings of Unicode code points (surrogates excluded). Equal handles
    denote equal residuals, so handles may be used as dictionary keys.
    """

    def __init__(
        self,
        vocabulary: NativeVocabulary,
        *,
        max_regex_nodes: int = ...,
        max_emptiness_steps: int = ...,
        max_seconds: float = ...,
    ) -> None: ...

    # -- regexes ---------------------------------------------------------------------------
    @property
    def tables(self) -> int: ...
    def re_none(self) -> int: ...
    def re_epsilon(self) -> int: ...
    def re_any(self) -> int: ...
    def re_chars(self, ranges: Sequence[tuple[int, int]]) -> int: ...
    def re_literal(self, text: str) -> int: ...
    def re_words(self, words: Sequence[str]) -> int: ...
    def re_concat(self, parts: Sequence[int]) -> int: ...
    def re_union(self, parts: Sequence[int]) -> int: ...
    def re_intersection(self, parts: Sequence[int]) -> int: ...
    def re_complement(self, regex: int) -> int: ...
    def re_repeat(self, regex: int, low: int, high: int) -> int: ...
    def re_residue(self, modulus: int) -> int: ...
    def re_is_empty(self, regex: int) -> bool: ...
    def re_is_nullable(self, regex: int) -> bool: ...
    def re_matches(self, regex: int, text: str) -> bool: ...
    def re_shortest(self, regex: int) -> str: ...
    def re_write(self, regexes: Sequence[int]) -> bytes:
        """Return the bytes that :meth:`re_read` of any builder makes these regexes of."""

    def re_read(self, data: bytes) -> list[int]:
        """Return the regexes that :meth:`re_write` was given. Wrong bytes are a ValueError."""

    # -- expressions -----------------------------------------------------------------------
    def json_style(self, whitespace: int, all_escapes: bool) -> None: ...
    def text(self, regex: int) -> int: ...
    def lexeme(self, regex: int) -> int: ...
    def string(self, regex: int) -> int: ...
    def nothing(self) -> int: ...
    def empty(self) -> int: ...
    def choice(self, parts: Sequence[int]) -> int: ...
    def sequence(self, parts: Sequence[int]) -> int: ...
    def rule(self) -> int: ...
    def define(self, rule: int, body: int) -> None: ...
    def object(
        self,
        keys: Sequence[str],
        values: Sequence[int],
        required: Sequence[bool],
        extra_keys: Sequence[int],
        extra_values: Sequence[int],
        ordered: bool,
        min_properties: int,
        max_properties: int,
        distinct_extras: bool,
    ) -> int: ...
    def array(
        self, prefix: Sequence[int], rest: int, min_items: int, max_items: int, unique: bool = False
    ) -> int: ...
    def guard(self, name: str, predicate: Callable[[str], builtins.object] | None) -> int: ...
    def name_nodes(self, names: Callable[[], Sequence[tuple[int, Sequence[str]]]]) -> None: ...
    def guarded(self, expr: int, guard: int, negated: bool = False) -> int: ...
    def goal(self, counter: int, low: int, high: int) -> int: ...
    def goal_all(self, goals: Sequence[int]) -> int: ...
    def goal_any(self, goals: Sequence[int]) -> int: ...
    def tallied_object(
        self,
        keys: Sequence[str],
        cells: Sequence[Sequence[tuple[int, Sequence[int]]]],
        required: Sequence[bool],
        extra_keys: Sequence[int],
        extra_cells: Sequence[Sequence[tuple[int, Sequence[int]]]],
        ordered: bool,
        distinct_extras: bool,
        goal: int,
    ) -> int: ...
    def tallied_array(
        self,
        prefix_cells: Sequence[Sequence[tuple[int, Sequence[int]]]],
        rest_cells: Sequence[tuple[int, Sequence[int]]],
        goal: int,
        unique: bool = False,
    ) -> int: ...

    # -- patterns and Lark grammars --------------------------------------------------------
    def left_context(
        self, cells: Sequence[Sequence[tuple[int, int]]], following: Sequence[Sequence[int]]
    ) -> None: ...
    def pat_empty(self) -> int: ...
    def pat_chars(self, ranges: Sequence[tuple[int, int]]) -> int: ...
    def pat_literal(self, text: str) -> int: ...
    def pat_concat(self, parts: Sequence[int]) -> int: ...
    def pat_choice(self, parts: Sequence[int]) -> int: ...
    def pat_repeat(self, body: int, low: int, high: int, lazy: bool) -> int: ...
    def pat_ahead(self, rest: Sequence[int], negative: bool) -> int: ...
    def pat_behind(self, states: Sequence[int]) -> int: ...
    def lr_parser(
        self,
        terminals: Sequence[tuple[str, int, int]],
        unless: Sequence[tuple[int, int, int, bool]],
        ignore: Sequence[int],
        nonterminals: Sequence[str],
        rules: Sequence[tuple[int, Sequence[int], int, str]],
        starts: Sequence[int],
        shared: Sequence[int],
        mode: str,
        indenter: tuple[int, int, int, Sequence[int], Sequence[int], int] | None,
    ) -> int: ...
    def loaded_parser(
        self, loaded: LoadedGrammar, starts: Sequence[str], shared: Sequence[str], mode: str
    ) -> int | None: ...
    def python_patterns(
        self, patterns: Sequence[str], ask: _Ask
    ) -> tuple[list[int], tuple[list[list[tuple[int, int]]], list[list[int]]]] | None: ...
    def finish(
        self, start: int, *, max_states: int = ..., mask_cache_bytes: int = ...
    ) -> TokenAutomaton | None: ...

@final
class TokenAutomaton:
    """Lazy automaton over tokens whose states are plain integers."""

    vocabulary: Any
    lowering: Any
    @property
    def start(self) -> int: ...
    def step(self, state: int, token: int) -> int: ...
    def step_many(self, state: int, tokens: Sequence[int]) -> list[int]: ...
    def mask(self, state: int) -> npt.NDArray[np.int32]: ...
    def fill_mask(self, state: int, out: npt.NDArray[np.int32]) -> None: ...
    def fill_masks(self, states: Sequence[int], out: npt.NDArray[np.int32]) -> None: ...
    def fill_mask_within(self, state: int, out: npt.NDArray[np.int32], max_bytes: int) -> None: ...
    def accepts(self, state: int) -> bool: ...
    def forced(self, state: int) -> bytes: ...
    def shortest(self, state: int) -> bytes: ...
    def advance_bytes(self, state: int, data: bytes) -> int: ...
    def events(self, state: int, token: int) -> list[Event]: ...
    def events_at_end(self, state: int) -> list[Event]: ...
    def open_rules(self, state: int) -> tuple[str, ...]: ...
    @property
    def rule_names(self) -> tuple[str, ...]: ...
    @property
    def reads_json(self) -> bool: ...
    def session(self) -> Session: ...
    def _tables(
        self, max_states: int, max_bytes: int, max_seconds: float
    ) -> tuple[
        npt.NDArray[np.int32],
        npt.NDArray[np.int64],
        npt.NDArray[np.int32],
        npt.NDArray[np.int32],
        npt.NDArray[np.uint8],
        int,
    ]: ...
    def freeze(self, **options: Any) -> DeviceAutomaton: ...
    def stats(self) -> dict[str, int]: ...

@final
class Session:
    """States of one request: freed with it, and counted against its own budget."""

    @property
    def start(self) -> int: ...
    def step(self, state: int, token: int) -> int: ...
    def step_many(self, state: int, tokens: Sequence[int]) -> list[int]: ...
    def mask(self, state: int) -> npt.NDArray[np.int32]: ...
    def fill_mask(self, state: int, out: npt.NDArray[np.int32]) -> None: ...
    def fill_masks(self, states: Sequence[int], out: npt.NDArray[np.int32]) -> None: ...
    def fill_mask_within(self, state: int, out: npt.NDArray[np.int32], max_bytes: int) -> None: ...
    def accepts(self, state: int) -> bool: ...
    def forced(self, state: int) -> bytes: ...
    def shortest(self, state: int) -> bytes: ...
    def advance_bytes(self, state: int, data: bytes) -> int: ...
    def events(self, state: int, token: int) -> list[Event]: ...
    def events_at_end(self, state: int) -> list[Event]: ...
    def open_rules(self, state: int) -> tuple[str, ...]: ...
    @property
    def rule_names(self) -> tuple[str, ...]: ...
    @property
    def reads_json(self) -> bool: ...
    def stats(self) -> dict[str, int]: ...

@final
class SymbolReader:
    """What a generated text repeats as symbols: terminals, or what rules read (src/symbols.hpp).

    Places are numbers; each is a pure function of the tokens up to it.

    Parameters
    ----------
    session
        Reads the tokens; its automaton tells of its structure.
    closing
        Names of rules whose ends end a symbol.
    window
        Symbols among which repeats are looked for.
    terminals
        Whether each terminal is a symbol.
    """

    def __init__(self, session: Session, *, closing: Sequence[str], window: int, terminals: bool) -> None: ...
    def fresh(self, state: int) -> int:
        """Return a place at which nothing has been read, of a state of the session."""

    def step(self, place: int, token: int) -> tuple[int, int, int, list[tuple[int, npt.NDArray[np.int64]]]]:
        """Return the place after a token, its state, how much of it is under way, and critical tokens.

        The place is -1 and the state ``DEAD`` if the token is not allowed. The third item is a number of
        bytes, or -1 where the whole token goes on with the lexeme that was under way before it. Critical
        tokens begin another copy of repeated symbols; they come with the number of the repeats.
        """

@final
class Repeats:
    """The end of a sequence of integers, and the adjacent repeats there. Immutable.

    A *run* of period p is a stretch at the end in which every symbol equals the one p before it, as long as
    that holds: (period, matched) with the least possible period and the symbols that follow the first
    copy, at least one copy. Two copies must fit into the window for a run to be found (src/repeats.hpp).
    """

    def __init__(self, window: int) -> None: ...
    @property
    def window(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def runs(self) -> list[tuple[int, int]]: ...
    def nearly(self) -> list[tuple[int, int]]:
        """Return what is one symbol short of a complete copy: runs, and repeats that would be new."""

    def ago(self, count: int) -> int:
        """Return the symbol that many symbols ago; 1 is the last."""

    def append(self, symbol: int) -> Repeats: ...
    def extend(self, symbols: bytes) -> Repeats: ...
    def last(self, count: int) -> list[int]:
        """Return the last symbols, one more than the window at most."""

class LrConflictError(ValueError):
    """There are no LALR(1) tables as lark makes them.

    ``conflicts`` are rules that would be reduced on the same terminal: (state, terminal, rules) of each. Or
    ``endless`` are nonterminals that can be empty and follow each other forever: lark's tables of such a
    grammar vary from run to run.
    """

    conflicts: list[tuple[int, int, list[int]]]
    endless: list[int]

def lr_tables(
    rules: Sequence[tuple[int, Sequence[int], int]],
    terminals: int,
    nonterminals: int,
    starts: Sequence[int],
    resolve: bool,
    max_states: int = ...,
) -> tuple[
    list[tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]],
    list[int],
    list[int],
    bool,
]:
    """LALR(1) tables of rules (nonterminal, symbols, priority): terminals t >= 0 and nonterminals ~n.

    Of each state: the actions (terminal, state to shift to or ~rule to reduce; terminal ``terminals`` is the
    end of the text), the nonterminal transitions, and the items (rule, dot) of the kernel. Then, of each
    start symbol, the first state and the one that shifting the end leads to; and whether there were
    conflicts. With ``resolve``, conflicts are resolved as lark does, or :class:`LrConflictError` is raised;
    else all actions are kept.
    """

@final
class LoadedGrammar:
    """What Lark's loader makes of a grammar, made by the core.

    Attributes
    ----------
    scanned
        Whether the core has read the terminals, too, so that :meth:`Builder.loaded_parser` may take it.
    asserts
        Whether some terminal then has an assertion.
    shown
        The terminals as the grammar writes them.
    unless
        If ``scanned``: which strings take over texts of which patterns, as for :meth:`Builder.lr_parser`.
    """

    @property
    def scanned(self) -> bool: ...
    @property
    def asserts(self) -> bool: ...
    @property
    def shown(self) -> list[str]: ...
    @property
    def unless(self) -> list[tuple[int, int, bool]]: ...
    def described(
        self,
    ) -> tuple[
        list[tuple[str, str, bool, str, str | None, int, tuple[int, int], tuple[int, int]]],
        list[str],
        list[str],
        list[tuple[int, tuple[int, ...], int, str]],
        list[str],
        bool,
    ]:
        """Tell everything about the grammar.

        The terminals (name, value, whether it is a string, flag, spelling of a literal, priority, least and
        greatest width, each as the quotient and remainder by 2**32) in the order of Lark's scanner, those
        only declared, the nonterminals, the rules (nonterminal, symbols, priority, name) as for
        :func:`lr_tables`, what is ignored, and whether every rule derives a text if declared terminals have
        some.
        """

def lark_load(
    text: str,
    starts: Sequence[str],
    keep: builtins.set[str],
    width: Callable[[str], tuple[tuple[int, int], tuple[int, int]]],
    find: Callable[[str], str],
    ask: _Ask | None,
) -> LoadedGrammar | None:
    """What Lark's loader makes of the text of a grammar; None where that loader is needed.

    ``keep`` are terminals to keep though no rule has them, ``width`` returns least and greatest widths of
    regular expressions, each as the quotient and remainder by 2**32, and ``find`` the text of a file that is
    imported from anywhere but the own folder. ``ask`` returns the characters that one item of a pattern
    matches under flags of :mod:`re`; without it, patterns are left to Python.
    """

def pattern_width(pattern: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The widths of a pattern of :mod:`re` as quotients and remainders; None where Python has to read it."""

def pattern_matches(pattern: str, text: str, ask: _Ask) -> bool | None:
    """Whether the first match of a pattern at the start of a text is all of it; None if Python has to say."""

def lr_prune(
    rules: Sequence[tuple[int, Sequence[int], int]],
    terminals: int,
    nonterminals: int,
    start: int,
    never: Sequence[int] = ...,
) -> tuple[list[int], list[int], list[int]]:
    """The rules that derivations use, the unproductive nonterminals and those that can't be reached.

    Terminals of ``never`` match no text.
    """

def lr_without_empty(
    rules: Sequence[tuple[int, Sequence[int], int]],
    terminals: int,
    nonterminals: int,
    starts: Sequence[int],
    max_rules: int = ...,
) -> tuple[list[tuple[int, list[int], int]], list[int], int, bool]:
    """The same language without empty rules and the empty string.

    The rules, the rule that each comes from, the number of nonterminals, and whether a start symbol derived
    the empty string.
    """

@final
class LrCompletion:
    """The cheapest ways to complete parser stacks. A terminal that matches no text costs 2**60."""

    def __init__(
        self,
        rules: Sequence[tuple[int, Sequence[int], int]],
        terminals: int,
        nonterminals: int,
        starts: Sequence[int],
        resolve: bool,
        costs: Sequence[int],
        max_facts: int = ...,
    ) -> None: ...
    def best(self, stack: Sequence[int], lookahead: int = -1) -> tuple[int, int] | None:
        """The cost and the first terminal of a cheapest completion that begins with the lookahead, if any.

        The bottom of the stack comes first. The end of the text is terminal ``terminals``.
        """

    def always(self) -> bool:
        """Whether every stack that can be reached has a completion; False where that isn't known."""

    @property
    def facts(self) -> int: ...
