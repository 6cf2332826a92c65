"""The grammar of PDDL against the ``pddl`` package, which runs in an environment of its own."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.grammars.sentences import ROOT, Sentences, load, mutate, parses, texts

PARSER = load("pddl", ["start", "domain", "problem"])
ACCEPTED = texts("pddl.txt", "=====")
REJECTED = texts("pddl_rejected.txt", "=====")

KEYWORDS = """and assign decrease define domain either exists forall imply increase maximize minimize
not object oneof or problem scale-down scale-up when""".split()

# What the grammar leaves out on purpose and the package's grammar takes, with an example of each.
LEFT_OUT = {
    "a keyword as a name": "(define (domain when))",
    "words that touch": "(define (domaind))",
    "space behind a question mark": "(define (domain d) (:predicates (p ? x)))",
    "a number with several points": "(define (problem p) (:domain d) (:init (= (f) 1.2.3)) (:goal (p)))",
    "effects to choose from": "(define (domain d) (:action a :parameters () :effect (oneof (p) (q))))",
    "non-determinism": "(define (domain d) (:requirements :non-deterministic))",
}


def kind_of(text: str) -> str:
    """Return which of the package's two parsers a text is for."""
    return "problem" if re.match(r"[\s(]*define[\s(]*problem", re.sub(r";.*", "", text)) else "domain"


class Package:
    """The worker process."""

    def __init__(self, python: Path) -> None:
        worker = Path(__file__).with_name("pddl_worker.py")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([python, worker], stdin=pipe, stdout=pipe, text=True)

    def ask(self, text: str, read: bool = False) -> tuple[list[tuple[str, str, int]] | None, str | None]:
        """Return the lexemes of a text (type, text, end), None for a mistake, and the reader's error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"kind": kind_of(text), "text": text, "read": read}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer["tokens"] is None:
            return None, answer["error"]
        return [(name, text[start:end], end) for name, start, end in answer["tokens"]], answer["error"]

    def loose(self, text: str) -> set[str] | None:
        """Return what the package takes in a text and our grammar leaves out; None if it finds a mistake."""
        tokens, _ = self.ask(text)
        if tokens is None:
            return None
        found = set()
        for (name, lexeme, end), (_, following, following_end) in pairwise([*tokens, ("", "", 0)]):
            touching = end == following_end - len(following)
            if name == "NAME" and lexeme in KEYWORDS:
                found.add("a keyword as a name")
            if touching and re.fullmatch(r"\w\w", lexeme[-1] + following[:1]):
                found.add("words that touch")
            if name == "QMARK" and not touching:
                found.add("space behind a question mark")
            if name == "NUMBER" and lexeme.count(".") > 1:
                found.add("a number with several points")
            if name == "ONEOF":
                found.add("effects to choose from")
            if name == "NON_DETERMINISTIC":
                found.add("non-determinism")
        return found

    def check(self, text: str) -> bool:
        """Assert that both grammars agree about a text, and return what they say."""
        accepted = parses(PARSER, text, "start")
        assert accepted == (self.loose(text) == set()), text
        return accepted

    def close(self) -> None:
        self._process.communicate(timeout=60)


def _environment() -> Path:
    """Return the interpreter of an environment with the package, made once and kept below ``build``."""
    requirements = Path(__file__).with_name("pddl_requirements.txt")
    directory = ROOT / "build" / "pddl-venv"
    installed = directory / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True, timeout=120)
        pip = [directory / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", requirements], check=True, timeout=240)
        installed.write_text(requirements.read_text())
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def package() -> Iterator[Package]:
    try:
        python = _environment()
    except (subprocess.SubprocessError, OSError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no environment with the pddl package: {error}")
    worker = Package(python)
    yield worker
    worker.close()


@pytest.mark.parametrize("text", ACCEPTED)
def test_domains_and_problems_are_accepted(package: Package, text: str) -> None:
    assert package.ask(text, read=True)[1] is None
    assert package.check(text)
    kinds = ["domain", "problem"]
    assert [parses(PARSER, text, kind) for kind in kinds] == [kind_of(text) == kind for kind in kinds]


@pytest.mark.parametrize("text", REJECTED)
def test_texts_that_are_neither_are_rejected(package: Package, text: str) -> None:
    assert not package.check(text)


@pytest.mark.parametrize(("reason", "text"), LEFT_OUT.items())
def test_what_is_left_out_is_what_the_package_adds(package: Package, reason: str, text: str) -> None:
    assert package.loose(text) == {reason}
    assert not parses(PARSER, text, "start")


@pytest.mark.parametrize(
    "text", ["(DEFINE (domain d))", "(define (Domain d))", "(define (domain d) (:requirements :STRIPS))"]
)
def test_keywords_are_in_lower_case(package: Package, text: str) -> None:
    assert not package.check(text)


@pytest.mark.parametrize(
    "word", [*KEYWORDS, "number", "total-cost", "at", "oneofs", "strips", "o", "domain_", "x-and", "And"]
)
def test_keywords_are_no_names(package: Package, word: str) -> None:
    places = [
        "(define (domain NAME))",
        "(define (domain d) (:requirements :typing) (:types NAME))",
        "(define (domain d) (:requirements :typing) (:types a - NAME NAME))",
        "(define (domain d) (:constants NAME))",
        "(define (domain d) (:predicates (NAME)))",
        "(define (domain d) (:predicates (p ?NAME)))",
        "(define (domain d) (:requirements :typing) (:types NAME) (:predicates (p ?x - NAME)))",
        "(define (domain d) (:predicates (NAME)) (:action a :parameters () :precondition (NAME) :effect ()))",
        "(define (domain d) (:requirements :numeric-fluents :action-costs) (:functions (NAME)))",
        "(define (problem NAME) (:domain d) (:init) (:goal (and)))",
        "(define (problem p) (:domain d) (:objects NAME) (:init (p NAME)) (:goal (p NAME)))",
        "(define (problem p) (:domain d) (:init (NAME)) (:goal (NAME)))",
    ]
    for place in places:
        text = place.replace("NAME", word)
        accepted = package.check(text)
        if word in KEYWORDS:
            assert not accepted
            error = package.ask(text, read=True)[1]
            assert error is not None, text
            assert "keyword" in error or error == "syntax", (text, error)
        else:
            assert accepted


def test_object_is_the_name_of_a_type(package: Package) -> None:
    text = "(define (domain d) (:requirements :typing) (:types a b - object c) (:predicates (p ?x - a)))"
    assert package.check(text)
    assert package.ask(text, read=True)[1] is None
    assert not package.check("(define (domain d) (:types object - object) (:predicates (object)))")


SAMPLES = {
    "NAME": ["a", "b", "at", "on-table", "x1", "P_2", "forall-x", "number", "total-cost", "ob", "Z"],
    "VARIABLE": ["?x", "?y", "?and-then", "?X_1"],
    "NUMBER": ["0", "1", "007", "2.5", "10.00"],
    "REQUIREMENT": [
        ":strips",
        ":typing",
        ":adl",
        ":derived-predicates",
        ":fluents",
        ":action-costs",
        ":equality",
    ],
    "OF_DOMAIN": [":domain"],
    "NUMBER_TYPE": ["number"],
}
SAMPLES |= {
    terminal.name: [terminal.name.lower().replace("_", "-")]
    for terminal in PARSER.terminals
    if terminal.name not in SAMPLES
}  # fmt: skip
SECTIONS = """REQUIREMENTS TYPES CONSTANTS PREDICATES FUNCTIONS ACTION PARAMETERS PRECONDITION EFFECT DERIVED
OBJECTS INIT GOAL METRIC""".split()
SAMPLES |= {name: [f":{name.lower()}"] for name in SECTIONS}


def test_sentences_of_the_grammar_are_domains_and_problems(package: Package) -> None:
    rng = random.Random(1)
    sentences = Sentences(PARSER, SAMPLES)
    made = set()
    for _ in range(1_000):
        lexemes = sentences.make(rng, size=rng.choice([20, 60, 200]))
        text = "".join(lexeme + rng.choice([" ", " ", " ", "\n", "\t ; c )\n"]) for lexeme in lexemes)
        assert package.check(text), text
        tight = re.sub(r" ?([()?]) ?", r"\1", " ".join(lexemes))
        assert package.check(tight), tight
        made.add(tight)
    assert len(made) > 700


def test_changed_texts_are_accepted_by_both_or_by_neither(package: Package) -> None:
    rng = random.Random(2)
    sentences = Sentences(PARSER, SAMPLES)
    pieces = [
        *"()?-:;= \n.09ax_<>+*/",
        *"(and) (p) () (:init) and oneof ?y".split(),
        "(not ",
        "(= ",
        " - t",
        "(p ?x)",
    ]
    agreed = [0, 0]
    for number in range(4_000):
        if number % 2:
            text = ACCEPTED[number % len(ACCEPTED)]
        else:
            text = re.sub(r" ?([()]) ?", r"\1", " ".join(sentences.make(rng, size=50)))
        agreed[package.check(mutate(rng, text, pieces))] += 1
    assert min(agreed) > 500
