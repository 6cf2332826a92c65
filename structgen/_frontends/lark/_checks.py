"""What is checked before anything is lowered: what is undefined, dead or, in strict mode, ambiguous."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lark.common import LexerConf, ParserConf
from lark.exceptions import GrammarError as LarkGrammarError
from lark.exceptions import LexError
from lark.grammar import Rule
from lark.lexer import BasicLexer, ContextualLexer, TerminalDef
from lark.load_grammar import Grammar
from lark.parsers.lalr_parser import LALR_Parser

from structgen._errors import GrammarError
from structgen._frontends.lark._options import Options
from structgen._frontends.lark._sources import Sources
from structgen._frontends.lark._spec import DECLARED, Spec, origins
from structgen._frontends.lark._translate import at

if TYPE_CHECKING:
    from structgen._frontends.lark._load import Loaded

_COLLISION = re.compile(r"Collision between Terminals (\S+) and (\S+)\.\s*(.*)", re.DOTALL)
_CONFLICT = re.compile(r"Shift/Reduce conflict for terminal (\S+)\..*?\* <(.*)>", re.DOTALL)


def check_starts(grammar: Grammar, starts: Sequence[str], sources: Sources) -> None:
    """Every start rule has to exist."""
    rules = [
        str(name) for name, parameters, tree, _ in grammar.rule_defs if not parameters and tree is not None
    ]
    for name, _, tree, _ in grammar.rule_defs:
        if tree is None:
            raise at(
                sources.use(name) or sources.definition(name),
                f"rule {str(name)!r} is declared, and not defined",
                sources,
                "only terminals can be declared",
            )
    for start in starts:
        if start not in rules:
            near = difflib.get_close_matches(start, rules, n=1)
            raise GrammarError(
                f"there is no rule {start!r} to start from",
                name=sources.main.name,
                expected=sorted(rules, key=lambda rule: (rule.startswith("_"), rule))[:20],
                hint=f"did you mean start={near[0]!r}?" if near else "say which rule begins, with start=",
            )


def check_unused(grammar: Grammar, rules: Sequence[Rule], sources: Sources) -> None:
    """In strict mode, every rule of the grammar's own file is reachable."""
    kept = origins(rules)
    for name, parameters, _, _ in grammar.rule_defs:
        if not parameters and name not in kept and "__" not in name.lstrip("_"):
            raise at(
                sources.definition(name),
                f"no start rule reaches rule {str(name)!r}",
                sources,
                "remove it, or leave out strict=True",
            )


def check_ignored(loaded: Loaded, scanned: set[str], ignore: Iterable[str]) -> None:
    """What is ignored has to be scanned."""
    for name in ignore:
        if name not in scanned:
            raise loaded.error(name, f"terminal {name!r} is ignored, and has no pattern")


def check_productive(loaded: Loaded) -> None:
    """Every alternative that a text can reach derives some text.

    One that does not would be a dead end: a text could run into it and never be finished.
    """
    spec = loaded.spec
    made = set() if spec.indenter is None else set(spec.indenter[1:3])
    dead = {n for n, t in enumerate(spec.terminals) if t.kind == DECLARED and n not in made}
    productive = _productive(spec, dead)
    reachable = _reachable(spec)
    for origin, symbols, _, _ in spec.productions:
        if origin not in reachable:
            continue
        for symbol in symbols:
            if symbol in dead and symbol >= 0:
                name = spec.terminals[symbol].name
                hint = "pass postlex, an Indenter that makes it" if spec.indenter is None else None
                raise loaded.error(name, f"terminal {name!r} is declared, and nothing makes it", hint)
    for origin in sorted(reachable - productive):
        name = _blamed(spec, origin, productive)
        raise loaded.error(
            name, f"rule {name!r} derives no finite text", "give it an alternative that does not use itself"
        )


def _productive(spec: Spec, dead: set[int]) -> set[int]:
    """Return the nonterminals that derive some text."""
    users: dict[int, list[int]] = {}
    missing = []
    ready = []
    for number, (origin, symbols, _, _) in enumerate(spec.productions):
        needs = {~symbol for symbol in symbols if symbol < 0}
        blocked = any(symbol >= 0 and symbol in dead for symbol in symbols)
        missing.append(len(needs) + blocked)
        for need in needs:
            users.setdefault(need, []).append(number)
        if not missing[-1]:
            ready.append(origin)
    productive: set[int] = set()
    while ready:
        nonterminal = ready.pop()
        if nonterminal in productive:
            continue
        productive.add(nonterminal)
        for number in users.get(nonterminal, ()):
            missing[number] -= 1
            if not missing[number]:
                ready.append(spec.productions[number].origin)
    return productive


def _reachable(spec: Spec) -> set[int]:
    uses: dict[int, set[int]] = {}
    for origin, symbols, _, _ in spec.productions:
        uses.setdefault(origin, set()).update(~symbol for symbol in symbols if symbol < 0)
    reachable: set[int] = set()
    waiting = list(spec.starts)
    while waiting:
        nonterminal = waiting.pop()
        if nonterminal not in reachable:
            reachable.add(nonterminal)
            waiting.extend(uses.get(nonterminal, ()))
    return reachable


def _blamed(spec: Spec, nonterminal: int, productive: set[int]) -> str:
    """Return the innermost rule at fault: one whose alternatives all come back to itself."""
    seen: list[int] = []
    while nonterminal not in seen:
        seen.append(nonterminal)
        for origin, symbols, _, _ in spec.productions:
            if origin == nonterminal:
                nonterminal = next(~s for s in symbols if s < 0 and ~s not in productive)
                break
    # Helpers that Lark made for a repetition are nobody's rules.
    cycle = [spec.nonterminals[n] for n in seen[seen.index(nonterminal) :]]
    return next((name for name in cycle if not name.startswith("__")), cycle[0])


def check_strict(
    loaded: Loaded,
    terminals: Sequence[TerminalDef],
    rules: Sequence[Rule],
    ignore: Sequence[str],
    options: Options,
) -> None:
    """Run Lark's strict mode: it looks for shift/reduce conflicts and for terminals that collide."""
    conf = LexerConf(terminals, re, ignore, g_regex_flags=options.g_regex_flags, strict=True)
    try:
        if options.parser == "lalr":
            parser = LALR_Parser(ParserConf(list(rules), {}, list(options.starts)), strict=True)
        if options.lexer == "contextual":
            table: Any = parser._parse_table
            accepts: dict[int, Collection[str]] = {
                state: list(actions) for state, actions in table.states.items()
            }
            always = () if options.indenter is None else (options.indenter.newline,)
            ContextualLexer(conf, accepts, always_accept=always)
        elif options.lexer == "basic":
            BasicLexer(conf)
    except (LarkGrammarError, LexError) as error:
        raise _strict_error(str(error), loaded) from None


def _strict_error(message: str, loaded: Loaded) -> GrammarError:
    names = {terminal.name: terminal.shown for terminal in loaded.spec.terminals}
    collision = _COLLISION.match(message)
    if collision is not None:
        first, second = sorted(collision.groups()[:2])
        example = collision[3]
        return loaded.error(
            first,
            f"terminals {names.get(first, first)} and {names.get(second, second)} collide: "
            + " ".join(line.strip() for line in example.strip().splitlines()),
            "give one of them a priority, or leave out strict=True",
        )
    conflict = _CONFLICT.search(message)
    if conflict is not None:
        rule = conflict[2].partition(" : ")[0]
        return loaded.error(
            rule,
            f"before {names.get(conflict[1], conflict[1])}, rule {rule!r} could end or go on (shift/reduce)",
            "Lark goes on; leave out strict=True to accept that",
        )
    return loaded.error(None, message.strip())
