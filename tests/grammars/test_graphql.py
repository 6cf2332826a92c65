"""The grammar of GraphQL against graphql-core, whose syntax trees tell what is newer than the grammar."""

import random
import re
from collections.abc import Iterator

import pytest
from graphql import DocumentNode, GraphQLSyntaxError, Visitor, parse, visit
from graphql.language import (
    DirectiveDefinitionNode,
    DirectiveExtensionNode,
    FragmentDefinitionNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    TokenKind,
    VariableDefinitionNode,
)

from tests.grammars.sentences import Sentences, load, mutate, parses, texts

PARSER = load("graphql")
ACCEPTED = texts("graphql.txt", "=====")
REJECTED = texts("graphql_rejected.txt", "=====")

# What graphql-core reads beyond October 2021, with an example of each.
NEWER = {
    "described executable definition": [
        '"d" query { a }',
        '"d" fragment A on B { c }',
        'query ("d" $a: B) { a }',
    ],
    "directive on a directive": ["directive @a @b on FIELD", "extend directive @a @b"],
    "new directive location": [
        "directive @a on DIRECTIVE_DEFINITION",
        "directive @a on FRAGMENT_VARIABLE_DEFINITION",
    ],
    "empty selection set": ["{}", "{ a {} }", "query { ... on A {} }"],
    "escape of variable width": [r'{ a(b: "\u{1F600}") }', r'"\u{41}" scalar A'],
    "control character": ['{ a(b: "\x01") }', '{ a(b: """\x7f\x1b""") }', "{ a } # \x00"],
}


class _Newer(Visitor):
    """Collects what a syntax tree has that October 2021 does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def enter(self, node: Node, *_: object) -> None:
        match node:
            case OperationDefinitionNode() | FragmentDefinitionNode() | VariableDefinitionNode():
                if node.description:
                    self.found.add("described executable definition")
            case DirectiveExtensionNode():
                self.found.add("directive on a directive")
            case DirectiveDefinitionNode():
                if node.directives:
                    self.found.add("directive on a directive")
                if any(
                    n.value in ("DIRECTIVE_DEFINITION", "FRAGMENT_VARIABLE_DEFINITION")
                    for n in node.locations
                ):
                    self.found.add("new directive location")
            case SelectionSetNode() if not node.selections:
                self.found.add("empty selection set")


def _lexemes(document: DocumentNode) -> Iterator[tuple[TokenKind, str]]:
    assert document.loc is not None
    token = document.loc.start_token
    while token is not None:
        yield token.kind, document.loc.source.body[token.start : token.end]
        token = token.next


def newer(text: str) -> set[str] | None:
    """Return what graphql-core takes in a text beyond October 2021; None if it finds a mistake."""
    try:
        document = parse(text)
    except GraphQLSyntaxError:
        return None
    visitor = _Newer()
    visit(document, visitor)
    for kind, lexeme in _lexemes(document):
        if kind is TokenKind.STRING and re.search(r"(?<!\\)(?:\\\\)*\\u\{", lexeme):
            visitor.found.add("escape of variable width")
        if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", lexeme):
            visitor.found.add("control character")
    return visitor.found


def check(text: str) -> bool:
    """Assert that both parsers agree about a text, and return what they say."""
    accepted = parses(PARSER, text)
    assert accepted == (newer(text) == set()), text
    return accepted


@pytest.mark.parametrize("text", ACCEPTED)
def test_documents_are_accepted(text: str) -> None:
    assert check(text)
    assert check(text.replace("\n", "\r\n"))
    assert check("\ufeff" + text.replace("\n", " ,\r#\n"))


@pytest.mark.parametrize("text", REJECTED)
def test_texts_that_are_no_documents_are_rejected(text: str) -> None:
    assert not check(text)


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, cases in NEWER.items() for text in cases]
)
def test_what_is_newer_is_left_out(reason: str, text: str) -> None:
    assert newer(text) == {reason}
    assert not parses(PARSER, text)


KEYWORDS = """query mutation subscription fragment on extend schema scalar type interface implements union
enum input directive repeatable true false null FIELD QUERY on_ trues _ __typename a Z9""".split()


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords_are_names_where_names_are_expected(name: str) -> None:
    places = [
        "{ NAME }",
        "{ NAME: NAME(NAME: NAME) @NAME(NAME: $NAME) { NAME } }",
        "{ a(NAME: [NAME] b: {NAME: NAME}) }",
        "query NAME($NAME: NAME = NAME @NAME) { a }",
        "{ ... on NAME { a } }",
        "{ ...NAME }",
        "{ ... NAME @a }",
        "fragment NAME on NAME { a }",
        "schema { query: NAME }",
        "scalar NAME @NAME",
        "type NAME implements NAME & NAME @NAME { NAME(NAME: NAME = NAME): NAME }",
        "interface NAME implements NAME",
        "union NAME = NAME | NAME",
        "enum NAME { a NAME }",
        "enum NAME { NAME @NAME }",
        "input NAME { NAME: [NAME!]! = NAME }",
        "extend type NAME @NAME",
        "extend enum NAME { NAME }",
        "directive @NAME(NAME: NAME) repeatable on FIELD",
        "directive @a on NAME",
        "type A NAME B",
        "NAME A",
        "NAME { a }",
        "NAME { query: A }",
        "extend NAME B @c",
    ]
    for place in places:
        check(place.replace("NAME", name))


# Every text of up to a length over these characters, in the place of a value.
@pytest.mark.parametrize(
    ("characters", "length"),
    [("-01.eE+x", 5), ('"\\a\n', 7), ('"\\u', 7)],
    ids=["numbers", "strings", "quotes"],
)
def test_values_end_where_they_end(characters: str, length: int) -> None:
    pending = [""]
    accepted = 0
    while pending:
        value = pending.pop()
        accepted += check(f"{{a(b:[{value}])}}")
        if len(value) < length:
            pending += [value + c for c in characters]
    assert accepted > 1


SAMPLES = {
    "NAME": ["a", "b", "Foo", "_x", "a1", "onwards", "o", "On", "types", "True", "nulls", "_on"],
    "DIRECTIVE_LOCATION": [
        "FIELD",
        "QUERY",
        "FIELD_DEFINITION",
        "ENUM",
        "ENUM_VALUE",
        "INPUT_FIELD_DEFINITION",
    ],
    "INT": ["0", "-0", "1", "-12", "1234567890123"],
    "FLOAT": ["0.0", "-1.5", "1e3", "-0E-0", "12.34e+56"],
    "STRING": ['""', '"a"', r'"\"\\\/\b\f\n\r\t"', r'"\u00E9\uD83D\uDE00\ud7ff"', '"é😀#,{"', '"\'"'],
    "BLOCK_STRING": [
        '""""""',
        '"""a"""',
        '"""a "b" ""c"""',
        '"""\\""""""',
        '"""\\\\ """',
        '"""\\\\\\"""\n"""',
        '"""\\"\\""x"""',
    ],
}
SAMPLES |= {
    terminal.name: [terminal.name.lower()]
    for terminal in PARSER.terminals
    if terminal.name not in SAMPLES
}  # fmt: skip
SEPARATORS = [" ", " ", " ", "\n", ",", "\t", "\r\n", "# c\n", "\ufeff", " ,, #\r"]


def test_sentences_of_the_grammar_are_documents() -> None:
    rng = random.Random(1)
    sentences = Sentences(PARSER, SAMPLES)
    made = set()
    for _ in range(1_000):
        text = "".join(
            lexeme + rng.choice(SEPARATORS) for lexeme in sentences.make(rng, size=rng.choice([10, 40, 200]))
        )
        assert check(text), text
        made.add(text)
    assert len(made) > 700


def test_changed_texts_are_accepted_by_both_or_by_neither() -> None:
    rng = random.Random(2)
    sentences = Sentences(PARSER, SAMPLES)
    pieces = [
        *'{}()[]:=@$!|&,"\\#-.09ae_ \n\r\x0b',
        *'... """ "" on {a} "d" true'.split(),
        "extend ",
        "implements ",
        "type A",
    ]
    agreed = [0, 0]
    for number in range(4_000):
        text = ACCEPTED[number % len(ACCEPTED)] if number % 4 == 0 else " ".join(sentences.make(rng, size=20))
        agreed[check(mutate(rng, text, pieces))] += 1
    assert min(agreed) > 500
