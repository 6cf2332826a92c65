"""Structure events against the shifts and reductions of lark's own parser."""

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lark
import pytest
from lark.indenter import PythonIndenter
from lark.lexer import TerminalDef

import structgen
from structgen import Event, TokenAutomaton, Vocabulary, compile_json_schema, compile_lark
from tests.lark.reference import parses
from tests.lark.test_reference import _parser as _reference_parser
from tests.lark.test_reference import _texts, every_grammar

_JSON = r"""
?start: value
?value: object | array | ESCAPED_STRING -> string | SIGNED_NUMBER -> number | "true" | "null" -> null
array: "[" [value ("," value)*] "]"
object: "{" [pair ("," pair)*] "}"
pair: ESCAPED_STRING ":" value
%import common (ESCAPED_STRING, SIGNED_NUMBER, WS)
%ignore WS
"""
_SUMS = r"""
start: sum
?sum: product | sum "+" product -> add
product: atom | product "*" atom -> mul
?atom: NUMBER -> number | "-" atom -> negative | _in_brackets
_in_brackets: "(" sum ")"
NUMBER: /[0-9]+/
%ignore " "
"""
_LISTS = r"""
start: line* tail
line: _empty NAME ("," NAME)* ";" -> names
    | "if" NAME "then" line+ "end"
_empty:
tail: "." | "." "." | "."~3..5
NAME: /[a-z]+/
%ignore /[ \n]+/
"""
_NUMBERS = """
start: (INT | FLOAT | DOT | "x")+
INT: /[0-9]+/
FLOAT: /[0-9]+\\.[0-9]+/
DOT: "."
"""
_PYTHON_SAMPLE = '''"""Module."""
import os, sys as system
from a.b import (c,
    d)

@decorated
class A(B, metaclass=C):
    x: int = 1.5e3 + 0x1F if y else None  # comment

    def f(self, *args, key=lambda v: v ** -2, **kwargs) -> str:
        for i, j in zip(a[1:2, ...], {**b, 'k': "it\\'s"}):
            if not i <= j < 3 and i is not j:
                continue
            elif x:
                yield from (k for k in j)
        else:
            try:
                return f"{a}" r'\\d' """long
text""", [*a]
            except (E, F) as e: raise e from None
            finally:
                pass

async def g():
  async with a as b, c: await b
  while 1_000: print(12) if 0 else ...
'''
_GRAMMARS: dict[str, tuple[str, list[str]]] = {
    "json": (
        _JSON,
        ['{"a": [1, true ], "b":{"c":-2.5e3}, "é\\n":"" }', "[[],[{}], null,[ 1 ,2]]", " true", "0.5"],
    ),
    "sums": (_SUMS, ["1+2*(3 +-4)*5", "--((7))", "12", "(1+(2+(3*4*5+6)+7))*8 + 9"]),
    "lists": (_LISTS, ["ab, c;\nif x then if y then iffy; end d,e; end.", ".", "..", "a;b;....."]),
    "numbers": (_NUMBERS, ["12.5x3", "12.x", "1..2", "1.5.", "7"]),
    "python": ("", [_PYTHON_SAMPLE, "x = 1\n", "if a:\n  if b:\n    c\nd\n", "def f():\n\tpass\n"]),
}


def _parser(name: str, **options: Any) -> lark.Lark:
    grammar = _GRAMMARS[name][0]
    if name == "python":
        options = {"start": "file_input", "postlex": PythonIndenter(), **options}
        return lark.Lark.open_from_package("lark", "python.lark", ["grammars"], parser="lalr", **options)
    return lark.Lark(grammar, parser="lalr", maybe_placeholders=False, **options)


def _shown(terminal: TerminalDef) -> str:
    shown = terminal.user_repr()
    return f"/{terminal.pattern.to_regexp()}/" if shown.startswith("__") else shown


class Oracle:
    """What lark's parser and lexer do, in the order in which they do it."""

    def __init__(self, make: Callable[..., lark.Lark]) -> None:
        self.plain = plain = make()
        self.shown = {terminal.name: _shown(terminal) for terminal in plain.terminals}
        self._indenter = plain.options.postlex
        dropped = [*plain.ignore_tokens, *([self._indenter.NL_type] if self._indenter else [])]
        self.parser = make(lexer_callbacks=dict.fromkeys(dropped, self._drop))
        self._indenter = self.parser.options.postlex
        callbacks = self.parser.parser.parser.parser.callbacks
        for rule in self.parser.rules:
            callbacks[rule] = self._reduce(str(rule.alias or rule.origin.name))
        for terminal in self.parser.terminals:
            callbacks[terminal.name] = self._shift
        for terminal_name in ("_INDENT", "_DEDENT"):
            callbacks[terminal_name] = self._shift

    def __call__(self, text: str) -> list[tuple[str, str, int]]:
        self.found: list[tuple[str, str, int]] = []
        self._text = text
        self.parser.parse(text)
        return self.found

    def _end(self, token: lark.Token) -> int:
        return len(self._text[: token.end_pos].encode())

    def _shift(self, token: lark.Token) -> lark.Token:
        self.found.append(("terminal", self.shown.get(token.type, token.type), self._end(token)))
        return token

    def _drop(self, token: lark.Token) -> lark.Token:
        indenter = self._indenter
        if indenter is None or token.type != indenter.NL_type or indenter.paren_level > 0:
            self.found.append(("ignored", self.shown[token.type], self._end(token)))
        return token

    def _reduce(self, name: str) -> Any:
        def reduce(children: Any) -> None:
            if not name.startswith("__"):
                self.found.append(("close", name, -1))

        return reduce


def _vocabulary(texts: Sequence[str], seed: int) -> Vocabulary:
    """All bytes, and pieces of the texts."""
    chance = random.Random(seed)
    pieces = {bytes([i]): None for i in range(256)}
    for text in texts:
        data = text.encode()
        for _ in range(150):
            begin = chance.randrange(len(data))
            piece = data[begin : begin + chance.randint(2, 9)]
            pieces.setdefault(piece)
    return Vocabulary([*pieces, b"</s>"], eos_token_ids=len(pieces))


def _tokenisations(text: str, vocabulary: Vocabulary, seed: int) -> Iterator[list[int]]:
    data = text.encode()
    numbers = {token: number for number, token in enumerate(vocabulary.tokens[:-1])}
    yield list(data)
    chance = random.Random(seed)
    for greedy in (True, False, False, False):
        tokens, at = [], 0
        while at < len(data):
            fitting = [n for n in range(1, 10) if at + n <= len(data) and data[at : at + n] in numbers]
            length = fitting[-1] if greedy else chance.choice(fitting)
            tokens.append(numbers[data[at : at + length]])
            at += length
        yield tokens


def _read(automaton: TokenAutomaton, tokens: Sequence[int]) -> list[Event]:
    """All events of a text, with positions in the text; what is open has to agree with them."""
    vocabulary = automaton.vocabulary
    state, at, events = automaton.start, 0, []
    for token in tokens:
        assert automaton.open_rules(state) == tuple(_open(events)) or _unknown(events)
        new = automaton.events(state, token)
        assert all(0 <= e.position <= len(vocabulary.tokens[token]) for e in new)
        assert [e.position for e in new] == sorted(e.position for e in new)
        events += [e._replace(position=at + e.position) for e in new]
        state = automaton.step(state, token)
        at += len(vocabulary.tokens[token])
    end = automaton.events(state, vocabulary.eos_token_ids[0])
    assert end == automaton.events_at_end(state)
    assert all(e.position == 0 for e in end)
    return events + [e._replace(position=at) for e in end]


def _unknown(events: Sequence[Event]) -> bool:
    return any(event.kind == "unknown" for event in events)


def _open(events: Sequence[Event]) -> list[str]:
    """What is open after the events; rules close in the reverse order."""
    names: list[str] = []
    for event in events:
        if event.kind == "open":
            names.append(event.name)
        elif event.kind == "close":
            assert names.pop() == event.name
    return names


def _steps(events: Sequence[tuple[str, str, int]], kinds: set[str]) -> list[tuple[str, str, int]]:
    """Those of some kinds; lark does not say where rules are closed and where indentations end."""
    return [
        (kind, name, -1 if kind == "close" or name in ("_INDENT", "_DEDENT") else position)
        for kind, name, position in events
        if kind in kinds
    ]


def _is_subsequence(some: Sequence[object], of: Sequence[object]) -> bool:
    rest = iter(of)
    return all(one in rest for one in some)


def _check(events: Sequence[Event], expected: Sequence[tuple[str, str, int]]) -> None:
    # A rule is closed as soon as that is certain; lark closes it after what is ignored behind it.
    for kinds in ({"terminal", "close"}, {"terminal", "ignored"}):
        told, done = _steps(events, kinds), _steps(expected, kinds)
        if _unknown(events):
            assert _is_subsequence(told, done)
        else:
            assert told == done
            assert _open(events) == []


@pytest.mark.parametrize("name", _GRAMMARS)
def test_events_are_what_lark_does(name: str) -> None:
    texts = _GRAMMARS[name][1]
    vocabulary = _vocabulary(texts, 1)
    automaton = compile_lark(_parser(name), vocabulary)
    oracle = Oracle(functools.partial(_parser, name))
    known = set()
    for number, text in enumerate(texts):
        expected = oracle(text)
        for tokens in _tokenisations(text, vocabulary, number):
            events = _read(automaton, tokens)
            _check(events, expected)
            if not _unknown(events):
                known.add(text)
    assert known == set(texts)


@every_grammar
def test_events_of_all_short_texts(name: str) -> None:
    _, alphabet, size = _reference_parser(name)
    oracle = Oracle(lambda **options: _reference_parser(name, **options)[0])
    automaton = compile_lark(_reference_parser(name)[0], _bytes_only())
    parsed = [text for text in _texts(alphabet, min(size, 5)) if parses(oracle.plain, text)]
    for text in parsed:
        _check(_read(automaton, list(text.encode())), oracle(text))
    whole = [text for text in parsed if text]
    vocabulary = Vocabulary([*(text.encode() for text in whole), b"</s>"], eos_token_ids=len(whole))
    automaton = compile_lark(_reference_parser(name)[0], vocabulary)
    for token, text in enumerate(whole):
        _check(_read(automaton, [token]), oracle(text))
    assert whole


@pytest.mark.parametrize("name", ["json", "sums", "lists"])
def test_nothing_is_unknown_where_one_character_decides(name: str) -> None:
    texts = [text for text in _GRAMMARS[name][1] if text.isascii()]
    automaton = compile_lark(_parser(name), _vocabulary(texts, 1))
    for text in texts:
        assert not _unknown(_read(automaton, list(text.encode())))


@pytest.mark.parametrize("lexer", ["basic", "dynamic"])
@pytest.mark.parametrize("name", ["json", "sums"])
def test_earley_tells_the_same_of_unambiguous_grammars(name: str, lexer: Any) -> None:
    grammar, texts = _GRAMMARS[name]
    vocabulary = _vocabulary(texts, 2)
    automaton = compile_lark(grammar, vocabulary, parser="earley", lexer=lexer)
    oracle = Oracle(functools.partial(_parser, name))
    for number, text in enumerate(texts):
        for tokens in _tokenisations(text, vocabulary, number):
            _check(_read(automaton, tokens), oracle(text))


def _bytes_only() -> Vocabulary:
    return Vocabulary([*(bytes([i]) for i in range(256)), b"</s>"], eos_token_ids=256)


def _by_byte(automaton: TokenAutomaton, text: str) -> list[list[Event]]:
    states = [automaton.start, *automaton.step_many(automaton.start, list(text.encode()))]
    told = [automaton.events(state, byte) for state, byte in zip(states, text.encode(), strict=False)]
    return [*told, automaton.events_at_end(states[-1])]


def test_events_come_as_soon_as_they_are_certain() -> None:
    automaton = compile_lark(_JSON, _bytes_only())
    told = _by_byte(automaton, '{"a":[1 ]}')
    assert told == [
        [Event("terminal", "LBRACE", 1), Event("open", "object", 1)],
        [],
        [],
        [Event("terminal", "ESCAPED_STRING", 1), Event("open", "pair", 1)],
        [Event("terminal", "COLON", 1)],
        [Event("terminal", "LSQB", 1), Event("open", "array", 1)],
        [],
        # A number goes on until something else comes.
        [Event("terminal", "SIGNED_NUMBER", 0), Event("open", "number", 0), Event("close", "number", 0)],
        [
            Event("ignored", "WS", 0),
            Event("terminal", "RSQB", 1),
            Event("close", "array", 1),
            Event("open", "value", 1),
            Event("close", "value", 1),
            Event("close", "pair", 1),
        ],
        [
            Event("terminal", "RBRACE", 1),
            Event("close", "object", 1),
            *(Event(kind, name, 1) for name in ("value", "start") for kind in ("open", "close")),
        ],
        [],
    ]


def test_unknown_while_readings_disagree() -> None:
    automaton = compile_lark(_NUMBERS, _bytes_only())
    told = _by_byte(automaton, "12.x")
    assert told[:4] == [[], [], [Event("unknown", "", 0)], [Event("terminal", "X", 1)]]
    told = _by_byte(automaton, "1.5")
    assert told[:3] == [[], [Event("unknown", "", 0)], []]
    assert told[3][0] == Event("terminal", "FLOAT", 0)
    # In one token, there is nothing to disagree about.
    whole = compile_lark(_NUMBERS, Vocabulary([b"12.x", b"1.5", b"</s>"], eos_token_ids=2))
    names = ["INT", "DOT", "X"]
    assert [e for e in whole.events(whole.start, 0) if e.kind == "terminal"] == [
        Event("terminal", name, position) for name, position in zip(names, (2, 3, 4), strict=True)
    ]
    assert whole.events(whole.start, 1) == []


def test_ambiguity_is_unknown() -> None:
    grammar = 'start: e\ne: e "+" e -> sum | "x" -> x\n'
    automaton = compile_lark(grammar, _bytes_only(), parser="earley")
    once = [event for events in _by_byte(automaton, "x+x") for event in events]
    assert [e.name for e in once if e.kind == "close"] == ["x", "x", "sum", "start"]
    assert not _unknown(once)
    twice = [event for events in _by_byte(automaton, "x+x+x") for event in events]
    assert _unknown(twice)
    assert [e.name for e in twice if e.kind == "terminal"] == ["X", "PLUS", "X", "PLUS", "X"]


def test_names_of_terminals_without_one() -> None:
    automaton = compile_lark('start: "=>" /[0-9]/ "a".."f" A\nA: "->"\n', _bytes_only())
    events = [event for events in _by_byte(automaton, "=>1b->") for event in events]
    names = [e.name for e in events if e.kind == "terminal"]
    assert names == ['"=>"', "/[0-9]/", "/[a-f]/", "A"]


def test_items_and_special_tokens() -> None:
    tokens = [bytes([i]) for i in range(256)]
    vocabulary = Vocabulary([*tokens, b"</s>", b"<|call|>"], eos_token_ids=256, special_token_ids=[256, 257])
    grammar = """
    start: say (call ";")*
    say: NAME+
    call: <|call|> %json {"type": "array", "items": {"type": "integer"}}
    NAME: /[a-z]+/
    %ignore " "
    """
    automaton = compile_lark(grammar, vocabulary)
    state, told = automaton.start, []
    for token in [*b"ab c", 257, *b"[1, 23]", *b";", 257, *b"[];"]:
        told.append([(e.kind, e.name) for e in automaton.events(state, token)])
        state = automaton.step(state, token)
    schema = next(name for events in told for _, name in events if name.startswith("%json"))
    assert told[4] == [
        ("terminal", "NAME"),
        ("open", "say"),
        ("close", "say"),
        ("open", "start"),
        ("terminal", "<|call|>"),
        ("open", "call"),
    ]
    assert told[5:12] == [[]] * 7
    # White space may follow the JSON text.
    assert told[12] == [("terminal", schema), ("close", "call"), ("terminal", "SEMICOLON")]
    assert told[13] == [("terminal", "<|call|>"), ("open", "call")]
    assert automaton.accepts(state)
    assert [(e.kind, e.name) for e in automaton.events_at_end(state)] == [("close", "start")]


def test_items_next_to_items() -> None:
    automaton = compile_lark("start: item*\nitem: %regex /a|ab/ | %regex /b|c/\n", _bytes_only())
    told = _by_byte(automaton, "cac")
    assert [[(e.kind, e.name) for e in events] for events in told] == [
        [],
        [("terminal", "%regex /b|c/"), ("open", "item"), ("close", "item")],
        [("terminal", "%regex /a|ab/"), ("open", "item"), ("close", "item")],
        [
            *[("terminal", "%regex /b|c/"), ("open", "item"), ("close", "item")],
            *[("open", "start"), ("close", "start")],
        ],
    ]
    # Where the items meet, or whether there are two, can't be told.
    events = [event for events in _by_byte(automaton, "abc") for event in events]
    assert [(e.kind, e.name) for e in events][:3] == [("unknown", ""), ("unknown", ""), told[1][0][:2]]
    # The second of two that look alike has begun, or the first goes on.
    alike = compile_lark("start: item*\nitem: %regex /x+/\n", _bytes_only())
    assert [[e.kind for e in events] for events in _by_byte(alike, "xx")[:2]] == [[], ["unknown"]]


def test_guarded_items() -> None:
    grammar = 'start: %json {"type": "string", "format": "regex"} tail\ntail: "y" | %regex /[y)]z/\n'
    automaton = compile_lark(grammar, _bytes_only())
    told = _by_byte(automaton, '"(a)"yz')
    # That the string has ended is certain, and not what "y" is.
    assert [e.kind for e in told[5]] == ["terminal", "open", "unknown"]
    assert [(e.kind, e.name) for e in told[7]] == [
        ("terminal", "%regex /[y)]z/"),
        *[("open", "tail"), ("close", "tail"), ("close", "start")],
    ]


def test_json_schemas_by_the_grammar_of_json() -> None:
    vocabulary = _bytes_only()
    schema = compile_json_schema({"properties": {"a": {"items": {"type": "integer"}}}}, vocabulary)
    structure = compile_lark("grammars:json", vocabulary)
    state, other, opened = schema.start, structure.start, []
    for byte in b'{"a": [1, 23], "b": {"c": [null]}}':
        opened += [e.name for e in structure.events(other, byte) if e.kind == "open"]
        state, other = schema.step(state, byte), structure.step(other, byte)
    assert schema.accepts(state)
    assert structure.accepts(other)
    assert [name for name in opened if name in ("object", "array", "member")] == [
        *["object", "member", "array"],
        *["member", "object", "member", "array"],
    ]


def test_sessions_tell_the_same() -> None:
    automaton = compile_lark(_SUMS, _bytes_only(), max_states=12)
    roomy = compile_lark(_SUMS, _bytes_only())
    session = automaton.session()
    state, other = session.start, roomy.start
    for byte in b"1+(2*3+(4+5*(6)))":
        assert session.events(state, byte) == roomy.events(other, byte)
        state, other = session.step(state, byte), roomy.step(other, byte)
        assert session.open_rules(state) == roomy.open_rules(other)
    assert state >= 2**30
    assert session.events_at_end(state) == roomy.events_at_end(other)


def test_errors() -> None:
    automaton = compile_lark(_SUMS, _bytes_only())
    with pytest.raises(ValueError, match="token 43 is not allowed in state"):
        automaton.events(automaton.start, ord("+"))
    with pytest.raises(ValueError, match="may not end"):
        automaton.events_at_end(automaton.start)
    with pytest.raises(ValueError, match="may not end"):
        automaton.events(automaton.start, 256)
    with pytest.raises(ValueError, match="not a state"):
        automaton.events(12345, 49)
    assert automaton.events_at_end(structgen.FINISHED) == []
    regex = structgen.compile_regex("1+", _bytes_only())
    for call in (lambda: regex.events(regex.start, 49), lambda: regex.open_rules(regex.start)):
        with pytest.raises(ValueError, match="only automata of Lark grammars and JSON Schemas"):
            call()


def test_the_samples_are_texts_of_the_grammars() -> None:
    for name, (_, texts) in _GRAMMARS.items():
        assert all(parses(_parser(name), text) for text in texts), name
