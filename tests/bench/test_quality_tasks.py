"""The five domains of the quality run: what their predicates and checkers take and refuse."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from collections.abc import Iterable, Sequence

import pytest
from rdkit import Chem

from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.sampler_quality_methods import TaskPredicate
from jsonschemabench.tasks import DOMAINS, Domain, Task, molecules, planning
from structgen import DEAD, TokenAutomaton, Vocabulary
from structgen.samplers import Potential
from structgen.testing import PotentialLaws

BYTES = Vocabulary([b"", *(bytes([i]) for i in range(256))], eos_token_ids=0)

ANY_DOMAIN = pytest.mark.parametrize("domain", DOMAINS.values(), ids=list(DOMAINS))


def tokens(text: str) -> list[int]:
    return [1 + byte for byte in text.encode()]


def accepts(automaton: TokenAutomaton, text: str) -> bool:
    state = automaton.start
    for token in tokens(text):
        state = automaton.step(state, token)
    return state != DEAD and bool(automaton.accepts(state))


# -- all domains -------------------------------------------------------------------------------------------


@ANY_DOMAIN
def test_references_satisfy_everything(domain: Domain) -> None:
    for task in domain.test_tasks(40):
        text = task.reference
        assert domain.correct(task, text), task
        assert domain.permitted(task, text), task
        assert all(domain.possible(task, text[:end]) for end in range(len(text) + 1)), task
        assert accepts(domain.constraint(task, BYTES), text), task


@ANY_DOMAIN
def test_references_of_other_tasks_are_wrong(domain: Domain) -> None:
    tasks = domain.test_tasks(12)
    pairs = [(a, b) for a, b in itertools.permutations(tasks, 2) if a.reference != b.reference]
    wrong = [not domain.correct(a, b.reference) for a, b in pairs]
    # A few answers fit several prompts.
    assert sum(wrong) > 0.9 * len(wrong)


@ANY_DOMAIN
@pytest.mark.parametrize(
    "text", ["", " ", "(", "\x00", "nonsense", "\ufffd", "é", "[" * 10_000, "{}", "SELECT"]
)
def test_any_text_is_judged(domain: Domain, text: str) -> None:
    task = domain.test_tasks(1)[0]
    assert not domain.correct(task, text)
    # A text that is permitted has possible beginnings, and none of the questions raises.
    beginnings = [domain.possible(task, text[:end]) for end in range(min(20, len(text)) + 1)]
    assert beginnings == sorted(beginnings, reverse=True)
    assert all(beginnings) or not domain.permitted(task, text)


@ANY_DOMAIN
def test_tasks_are_a_function_of_the_seed_and_held_out(domain: Domain) -> None:
    tests = domain.test_tasks(20)
    assert tests[:5] == domain.test_tasks(5)
    assert tests != domain.test_tasks(20, seed=1)
    assert len({task.prompt for task in tests}) == 20
    trained = {task.prompt for task in itertools.islice(domain.training_tasks(0), 500)}
    assert trained.isdisjoint(task.prompt for task in tests)


def laws(domain: Domain, texts: Sequence[str]) -> type[PotentialLaws]:
    class Laws(PotentialLaws):
        def vocabulary(self) -> Vocabulary:
            return BYTES

        def potential(self) -> Potential:
            return TaskPredicate(domain, domain.test_tasks(1)[0])

        def sequences(self) -> Iterable[Sequence[int]]:
            return [tokens(text) for text in (domain.test_tasks(1)[0].reference[:24], *texts)]

        def extensions(self) -> Iterable[int]:
            return tokens("a1 (\"':,;)é=[{R")

    return Laws


TestSqlLaws = laws(DOMAINS["sql"], ["SELECT nope", "'a'b", "'it''s' x"])
TestMoleculeLaws = laws(DOMAINS["molecules"], ["C=F=", "C1C1", "C)", "[N+](C", "c1cc%1", "C[N", "C(", "C.C"])
TestPlanningLaws = laws(DOMAINS["planning"], ["(:goal (and (on ", "(:goal )", "x", "(:g", "(:goal (clear"])
TestPatternLaws = laws(DOMAINS["patterns"], ["21", "AA", "1-1"])
TestRecordLaws = laws(DOMAINS["records"], ['{"age":', '{"name":"Zz"', '{"age":12,"', '{"since":1', '{"a":"'])


# -- SQL ---------------------------------------------------------------------------------------------------

SQL = DOMAINS["sql"]
SQL_DATA = {
    "tables": {"ship": ["id", "title", "kg", "farm_id"], "farm": ["id", "town", "fee"]},
    "texts": ["title", "town"],
    "rows": 7,
}


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        ("SELECT COUNT(*) FROM ship", "SELECT 12", "SELECT 11"),
        ("SELECT id FROM ship WHERE id < 3", "SELECT id FROM farm WHERE NOT id >= 3", "SELECT 0, 1, 2"),
        ("SELECT id FROM ship", "select id from ship order by id desc", "SELECT DISTINCT 0 FROM ship"),
        (
            "SELECT title FROM ship ORDER BY kg DESC LIMIT 1",
            "SELECT title FROM ship WHERE kg = (SELECT MAX(kg) FROM ship)",
            "SELECT title, kg FROM ship ORDER BY kg DESC LIMIT 1",
        ),
        ("SELECT title FROM ship", "SELECT title FROM ship;", "SELECT titel FROM ship"),
        ("SELECT title FROM ship", "SELECT ship.title FROM ship", "SELECT title FROM ship LIMIT 11"),
        ("SELECT title FROM ship WHERE 0", "SELECT 1 WHERE 0", "DELETE FROM ship"),
        (
            "SELECT 1",
            "WITH n(i) AS (SELECT 1) SELECT i FROM n",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MIN(i) FROM n",
        ),
    ],
)
def test_queries_are_compared_by_what_they_return(reference: str, right: str, wrong: str) -> None:
    task = Task("", reference, SQL_DATA)
    assert SQL.correct(task, right)
    assert not SQL.correct(task, wrong)


@pytest.mark.parametrize(
    ("text", "possible", "permitted"),
    [
        ("SELECT title FROM ship", True, True),
        ("SELECT ti", True, False),
        ("SELECT titel", False, False),
        ("SELECT ti ", False, False),
        ("SELECT fee FROM ship", True, False),  # a column of the other table
        ("SELECT ship.title FROM ship JOIN farm ON farm_id = farm.id", True, True),
        ("SELECT id FROM ship JOIN farm ON farm_id = farm.id", True, False),  # ambiguous
        ("SELECT title FROM ship WHERE title = 'nope, not a name'", True, True),
        ("SELECT MAX(kg) FROM ship WHERE MAX(kg) > 1", True, False),
        ("SELECT title AS t FROM ship", False, False),
        ("DROP TABLE ship", False, False),
    ],
)
def test_queries_name_what_the_schema_has(text: str, possible: bool, permitted: bool) -> None:
    task = Task("", "", SQL_DATA)
    assert SQL.possible(task, text) == possible
    assert SQL.permitted(task, text) == permitted


# -- molecules ---------------------------------------------------------------------------------------------

MOLECULES = DOMAINS["molecules"]


def composition(rings: int, **atoms: int) -> Task:
    counts = dict.fromkeys(("O", "N", "F", "S", "Cl"), 0) | atoms
    return Task("", "", {"atoms": counts, "rings": rings})


@pytest.mark.parametrize(
    ("task", "right", "wrong"),
    [
        (
            composition(1, O=1),
            ["c1ccccc1O", "Oc1ccccc1", "C1CO1"],
            ["c1ccccc1", "CCO", "C1CCC1(O)O", "c1ccccc1OBr"],
        ),
        (composition(0), ["C", "CC(C)(C)C", "C#C"], ["C1CC1", "CO", "C(C)(C)(C)(C)C", "", "C.C", "C C"]),
        (composition(0, Cl=2), ["ClCCl", "C(Cl)Cl"], ["CCl", "ClC(Cl)Cl", "Clc"]),
        (composition(2, N=1), ["C1CC12CN2", "c1ccc2[nH]ccc2c1"], ["c1cc[nH]c1", "C1CC12CN"]),
    ],
)
def test_molecules_have_what_is_asked_for(task: Task, right: list[str], wrong: list[str]) -> None:
    assert [MOLECULES.correct(task, text) for text in right] == [True] * len(right)
    assert [MOLECULES.correct(task, text) for text in wrong] == [False] * len(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "C(C)(C)(C)(C)C",
        "FC=C=F",
        "F(C)C",
        "C1C1",
        "C11",
        "O=O=O",
        "C)",
        "C.",
        "N#NC",
        "[CH4]C",
    ],
)
def test_what_no_continuation_mends_is_refused(text: str) -> None:
    task = composition(0)
    assert not MOLECULES.possible(task, text)
    for more in ("C", ")", "1", "l", "C1", "]", "2CC2"):
        assert not MOLECULES.permitted(task, text + more)


def test_beginnings_of_molecules_are_possible_however_they_are_written() -> None:
    rng = random.Random(0)
    task = composition(0)
    for reference in (made.reference for made in MOLECULES.test_tasks(60)):
        molecule = Chem.MolFromSmiles(reference)
        # Branches, rings and charges where the generator has none.
        for text in (
            Chem.MolToSmiles(molecule, doRandom=True, canonical=False, rootedAtAtom=rng.randrange(2)),
            Chem.MolToSmiles(molecule, allBondsExplicit=True),
            Chem.MolToSmiles(molecule, allHsExplicit=True, kekuleSmiles=False),
        ):
            assert all(MOLECULES.possible(task, text[:end]) for end in range(len(text) + 1)), text
    for text in ("C[N+](C)(C)CC(=O)[O-]", "C%12CC%12", "FC(Br)Cl", "c1ccc2c(c1)[nH]cc2", "N[C@@H](C)C(=O)O"):
        assert all(MOLECULES.possible(task, text[:end]) for end in range(len(text) + 1)), text


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("", ""),
        ("C(", "C"),
        ("C(=O", "C(=O)"),
        ("C1CC", "CCC"),
        ("C1CC1=", "C1CC1"),
        ("C=1CC", "CCC"),
        ("C(C(", "C(C)"),
        ("C[N", "C"),
        ("C[NH3+]", "C[NH3+]"),
        ("C%12C%1", "CC"),
        ("C)", None),
    ],
)
def test_unfinished_smiles_are_closed(text: str, closed: str | None) -> None:
    assert molecules.close(text) == closed


def test_without_rdkit_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(EngineUnavailableError, match="pip install rdkit"):
        MOLECULES.require()
    for domain in DOMAINS.values():
        domain.make(random.Random(0))


# -- planning ----------------------------------------------------------------------------------------------

PLANNING = DOMAINS["planning"]
BLOCKS = Task(
    "",
    "(:goal (and (on b1 c2) (on-table c2)))",
    {"world": "blocks", "objects": {"block": ["b1", "c2", "m3"]}},
)
GRIPPER = Task(
    "",
    "(:goal (at ball1 hall))",
    {
        "world": "gripper",
        "objects": {"ball": ["ball1", "ball2"], "room": ["hall"], "gripper": ["left", "right"]},
    },
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("(:goal (and (on-table c2) (on b1 c2)))", True),
        (" ( :goal\n(and (on  b1 c2)(on-table c2) (on-table c2) ) )", True),
        ("(:goal (and (on c2 b1) (on-table c2)))", False),
        ("(:goal (on b1 c2))", False),
        ("(:goal (and (on b1 c2) (on-table c2) (clear b1)))", False),
        ("(:goal (or (on b1 c2) (on-table c2)))", False),
        ("(:goal (and (on b1 c2) (on-table c2))", False),
    ],
)
def test_goals_are_compared_as_sets_of_atoms(text: str, right: bool) -> None:
    assert PLANNING.correct(BLOCKS, text) == right


@pytest.mark.parametrize(
    ("task", "text", "possible", "permitted"),
    [
        (BLOCKS, "(:goal (on b1 m3))", True, True),
        (BLOCKS, "(:goal (and (on b", True, False),
        (BLOCKS, "(:goal (and (on b2", False, False),
        (BLOCKS, "(:goal (and (on b ", False, False),
        (BLOCKS, "(:goal (on b1))", False, False),
        (BLOCKS, "(:goal (on b1 c2 m", False, False),
        (BLOCKS, "(:goal (under", False, False),
        (BLOCKS, "(:goal (not (clear b1)))", False, False),
        (BLOCKS, "(:goal (and))", True, False),
        (BLOCKS, "(:goal (and (on b1 b1)))", False, False),
        (BLOCKS, "(:goal (and (on b1 c2) (on b1 m3)))", False, False),
        (BLOCKS, "(:goal (and (on b1 c2) (on m3 c2)))", False, False),
        (BLOCKS, "(:goal (and (on b1 c2) (on-table b1)))", False, False),
        (BLOCKS, "(:goal (and (on b1 c2) (clear c2)))", False, False),
        (BLOCKS, "(:goal (and (on b1 c2) (on c2 m3) (on m3 b1)))", False, False),
        (BLOCKS, "(:goal (and (on b1 c2) (on c2 m3) (on-table m3) (clear b1)))", True, True),
        (GRIPPER, "(:goal (and (at ball1 hall) (carry ball2 left) (at-robby hall)))", True, True),
        (GRIPPER, "(:goal (and (at ball1 hall) (carry ball1 left)))", False, False),
        (GRIPPER, "(:goal (and (carry ball1 left) (carry ball2 left)))", False, False),
        (GRIPPER, "(:goal (at hall", False, False),
    ],
)
def test_goals_are_of_the_problem_and_can_be_reached(
    task: Task, text: str, possible: bool, permitted: bool
) -> None:
    assert PLANNING.possible(task, text) == possible
    assert PLANNING.permitted(task, text) == permitted


def test_contradictory_goals_are_those_that_no_state_has() -> None:
    blocks = ("a", "b", "c")
    atoms: list[planning.Atom] = [("on-table", x) for x in blocks] + [("clear", x) for x in blocks]
    atoms += [("on", x, y) for x in blocks for y in blocks]
    states = []
    # All ways to build towers of three blocks: what each stands on, no two on the same, all over the table.
    for places in itertools.product(("", *blocks), repeat=3):
        below = dict(zip(blocks, places, strict=True))
        used = [place for place in places if place]
        grounded = all(stands(block, below) for block in blocks)
        if grounded and len(set(used)) == len(used):
            state = {("on", x, y) if y else ("on-table", x) for x, y in below.items()}
            states.append(state | {("clear", x) for x in blocks if x not in used})
    assert len(states) == 13
    for size in (1, 2, 3, 4):
        for goal in itertools.combinations(atoms, size):
            reachable = any(state.issuperset(goal) for state in states)
            # A goal that leaves no block to be the top one is only found where it names all of them.
            if reachable:
                assert not planning.contradictory(set(goal)), goal
            elif size == 2:
                assert planning.contradictory(set(goal)), goal


def stands(block: str, below: dict[str, str]) -> bool:
    """Return whether what a block stands on leads to the table."""
    for _ in below:
        block = below[block]
        if not block:
            return True
    return False


# -- patterns ----------------------------------------------------------------------------------------------

PATTERNS = DOMAINS["patterns"]


@pytest.mark.parametrize(
    ("quality", "right", "wrong"),
    [
        ("rising", ["AB-112", "ZZ-122"], ["AB-121", "AB-1123", "AB-12", "ab-112", "CB-112X"]),
        ("distinct", ["AB-012", "BA-102"], ["AA-012", "AB-011", "AB:012"]),
        ("even", ["AB-112", "AA-002"], ["AB-122", "AB-111"]),
    ],
)
def test_codes_match_and_have_the_property(quality: str, right: list[str], wrong: list[str]) -> None:
    def task(text: str) -> Task:
        data = {"pattern": "[A-Z]{2}-[0-9]{3}", "property": quality, "first": text[0], "last": text[-1]}
        return Task("", "", data)

    assert [PATTERNS.correct(task(text), text) for text in right] == [True] * len(right)
    assert [PATTERNS.correct(task(text), text) for text in wrong] == [False] * len(wrong)
    for text in right:
        assert not PATTERNS.correct(Task("", "", task(text).data | {"first": "Q"}), text)
        assert not PATTERNS.correct(Task("", "", task(text).data | {"last": "9"}), text)


@pytest.mark.parametrize("quality", ["rising", "distinct", "even"])
def test_beginnings_of_codes_are_refused_where_no_code_follows(quality: str) -> None:
    task = Task("", "", {"pattern": "[0-3]{3}", "property": quality, "first": "0", "last": "0"})
    codes = ["".join(code) for code in itertools.product("0123", repeat=3)]
    permitted = {code for code in codes if PATTERNS.permitted(task, code)}
    assert 0 < len(permitted) < len(codes)
    for length in range(4):
        for start in {code[:length] for code in codes}:
            some = any(code.startswith(start) for code in permitted)
            # The parity is judged at the end; the other two as soon as nothing can mend them.
            assert PATTERNS.possible(task, start) == (some or quality == "even")


def test_patterns_say_what_prompts_say() -> None:
    for task in PATTERNS.test_tasks(50):
        counts = [int(number) for number in re.findall(r"(\d+) (?:capitals|digits)", task.prompt)]
        assert sum(counts) == sum(character.isalnum() for character in task.reference)


# -- records -----------------------------------------------------------------------------------------------

RECORDS = DOMAINS["records"]
RECORD = Task(
    "",
    '{"name":"Vera Linton","age":50}',
    {"sentence": "Since 1980 the nurse Vera Linton has lived in Bern; the age is 50."},
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (RECORD.reference, True),
        ('{ "age": 50, "name": "Vera Linton" }', True),
        ('{"name":"Vera Linton","age":"50"}', False),
        ('{"name":"Vera Linton"}', False),
        ('{"name":"Vera Linton","age":50,"city":"Bern"}', False),
        ('{"name":"Vera Linton","age":50', False),
        ("[" * 100_000, False),
    ],
)
def test_records_are_compared_as_values(text: str, right: bool) -> None:
    assert RECORDS.correct(RECORD, text) == right


@pytest.mark.parametrize(
    ("text", "possible", "permitted"),
    [
        ('{"name":"Vera","since":1980}', True, True),
        ('{"name":"Ver', True, True),  # unfinished JSON is the constraint's affair
        ('{"name":"Anna', False, False),
        ('{"name":""', False, False),
        ('{"anything":"Bern"}', True, True),
        ('{"since":19', True, False),
        ('{"since":19}', False, False),
        ('{"since":20', False, False),
        ('{"age":50.0}', False, False),
        ('{"age":-50}', False, False),
    ],
)
def test_records_say_only_what_the_sentence_says(text: str, possible: bool, permitted: bool) -> None:
    assert RECORDS.possible(RECORD, text) == possible
    assert RECORDS.permitted(RECORD, text) == permitted


def test_the_schema_leaves_the_choice_of_fields_open() -> None:
    automaton = RECORDS.constraint(RECORD, BYTES)
    assert accepts(automaton, '{"since":1980,"job":"nurse"}')
    assert not accepts(automaton, json.dumps({"age": 50}))  # compact texts only
    assert not accepts(automaton, '{"age":"50"}')
    assert not accepts(automaton, '{"email":"x"}')
    assert not accepts(automaton, "{}")
