"""``arithmetic.lark`` against Python's own parser."""

import ast
import keyword
import random
import re
import warnings

import lark
import pytest

from tests.grammars.support import SentenceMaker, examples, load, mutations, one_of, parses

OPERATORS = {
    "add": ast.Add,
    "subtract": ast.Sub,
    "multiply": ast.Mult,
    "divide": ast.Div,
    "floor_divide": ast.FloorDiv,
    "remainder": ast.Mod,
    "power": ast.Pow,
    "negative": ast.USub,
    "positive": ast.UAdd,
}
NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Constant,
    *OPERATORS.values(),
)


def read(text: str) -> ast.expr | None:
    """Python's tree of the text, or None where the text is no arithmetic expression for Python.

    Line breaks count as white space, as within parentheses.
    """
    depth = 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 1if is deprecated, 2(3) a mistake; neither is arithmetic
            tree = ast.parse(f"({text}\n)", mode="eval")
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if not isinstance(node, NODES):
            return None
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            return None
        if isinstance(node, ast.Call) and node.keywords:
            return None
    return tree.body


def out_of_scope(text: str) -> str | None:
    """What Python reads as arithmetic and the grammar leaves out, or None."""
    tree = read(text)
    assert tree is not None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name):
                return "a call of something that is no name"
            if (node.func.lineno, node.func.col_offset) != (node.lineno, node.col_offset):
                return "a call of a name in parentheses"
    if re.search(r",\s*\)", text):
        return "a comma behind the last argument"
    if re.search(r"\d_|0[xXoObB]", text):
        return "a number with underscores or of another base"
    if re.search(r"[#\\\f]", text):
        return "a comment, a joined line or a form feed"
    if not text.isascii():
        return "a name beyond ASCII"
    return None


def tree_of(node: lark.Tree[lark.Token]) -> str:
    """The parse tree in the notation of ``ast.dump``."""
    children = [child for child in node.children if child is not None]
    match str(node.data):
        case "number":
            return ast.dump(ast.Constant(ast.literal_eval(children[0])))
        case "name":
            return ast.dump(ast.Name(str(children[0]), ast.Load()))
        case "call":
            name, *arguments = children
            parts = ", ".join(tree_of(part) for part in (arguments[0].children if arguments else []))
            return f"Call(func={ast.dump(ast.Name(str(name), ast.Load()))}, args=[{parts}], keywords=[])"
        case "negative" | "positive" as sign:
            return f"UnaryOp(op={OPERATORS[sign].__name__}(), operand={tree_of(children[0])})"
        case operator:
            left, right = map(tree_of, children)
            return f"BinOp(left={left}, op={OPERATORS[operator].__name__}(), right={right})"


def same_tree(text: str) -> bool:
    """Whether lark's tree of the text is Python's."""
    expected = read(text)
    return expected is not None and tree_of(load("arithmetic").parse(text)) == ast.dump(expected)


@pytest.mark.parametrize("text", examples("arithmetic")["accepted"])
def test_accepted(text: str) -> None:
    assert same_tree(text)


@pytest.mark.parametrize("text", examples("arithmetic")["rejected"])
def test_rejected(text: str) -> None:
    assert read(text) is None or out_of_scope(text)
    assert not parses("arithmetic", text)


def test_keywords_are_names() -> None:
    for word in keyword.kwlist:
        assert parses("arithmetic", f"1 + {word}")


SAMPLERS = {
    "NUMBER": one_of("0", "00", "12", "1.5", ".5", "5.", "01.5", "1e5", "2E-3", "09e1"),
    "NAME": one_of("x", "_y1", "Total", "e5"),
}


def test_generated() -> None:
    maker = SentenceMaker("arithmetic", SAMPLERS, calm=0.3)
    rng = random.Random(0)
    texts = set()
    for _ in range(1000):
        text = rng.choice(("", " ", "\n")).join(maker.make(rng, 40))
        assert same_tree(text), text
        texts.add(text)
    assert len(texts) > 500


@pytest.mark.parametrize("seed", range(4))
def test_mutated(seed: int) -> None:
    rng = random.Random(seed)
    words = re.compile(r"[A-Za-z_]\w*")
    accepted = rejected = 0
    for example in examples("arithmetic")["accepted"]:
        for text in mutations(
            example, rng, 40, "+-*/%()., 0159exf_\n\t#é=\\", ("**", "//", "f(", "1e", "x", "(1)")
        ):
            if parses("arithmetic", text):
                assert same_tree(text) or any(map(keyword.iskeyword, words.findall(text))), text
                accepted += 1
            else:
                assert read(text) is None or out_of_scope(text), text
                rejected += 1
    assert min(accepted, rejected) > 500
