"""``sql.lark`` against SQLite itself, which prepares every statement of the language."""

import enum
import random
import re
import sqlite3
import sys
from collections.abc import Iterator

import pytest

from tests.grammars.support import SentenceMaker, examples, load, mutations, one_of, parses

SCHEMA = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE, city TEXT, created TEXT,
    note TEXT);
CREATE INDEX customer_city ON customer (city);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, placed TEXT, status TEXT, total REAL);
CREATE TABLE item (order_id INTEGER, product_id INTEGER, quantity INTEGER, price REAL);
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT, category INTEGER, price REAL, tags TEXT, data TEXT);
CREATE TABLE employee (id INTEGER PRIMARY KEY, name TEXT, manager_id INTEGER, salary REAL, department TEXT);
CREATE TABLE event (at TEXT, kind TEXT, payload TEXT);
CREATE TABLE category (id INTEGER PRIMARY KEY, parent_id INTEGER, name TEXT);
CREATE TABLE category_ids (id INTEGER);
CREATE TABLE misc (key TEXT, plan TEXT, action TEXT, "end" TEXT, "desc" TEXT, "order" TEXT, naïve TEXT,
    é TEXT);
CREATE VIEW city_view AS SELECT city FROM customer;
CREATE TABLE a (x, y, z, key, text);
CREATE TABLE b (x, y, z, key, text);
"""

# What the actions of SQLite's parser say of statements that can never be valid, in whatever schema.
SYNTAX_ERRORS = re.compile(
    r"syntax error|incomplete input|unrecognized token"
    r"|unknown join type|a JOIN clause is required before|a NATURAL join may not have an ON or USING clause"
    r"|clause should come after \w+( ALL)? not before|a GROUP BY clause is required before HAVING"
    r"|unknown table option|error in generated column|expressions prohibited in PRIMARY KEY and"
    r"|^0 values for|unsupported use of NULLS|variable number must be between|cannot use RETURNING in"
    r"|qualified table names are not allowed|INDEXED clause is not allowed|INDEXED BY clause is not allowed"
)


class Verdict(enum.Enum):
    """What SQLite says of a statement."""

    VALID = enum.auto()
    #: The syntax is right; a name is unknown, a number of columns differs, and so on.
    MEANINGLESS = enum.auto()
    INVALID = enum.auto()


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    if sys.version_info < (3, 11):
        pytest.skip("before 3.11, sqlite3 sets no limits")
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32766)
    yield connection
    connection.close()


def judge(database: sqlite3.Connection, text: str) -> tuple[Verdict, str]:
    """Let SQLite prepare the statement."""
    try:
        database.execute("EXPLAIN/**/" + text).close()
    except sqlite3.ProgrammingError as error:
        # Parameters without values are noticed behind the parser, a second statement instead of it.
        return (Verdict.VALID if "binding" in str(error) else Verdict.INVALID), str(error)
    except sqlite3.Warning as error:
        return Verdict.INVALID, str(error)
    except sqlite3.OperationalError as error:
        return (Verdict.INVALID if SYNTAX_ERRORS.search(str(error)) else Verdict.MEANINGLESS), str(error)
    return Verdict.VALID, ""


# ---- What SQLite takes and the grammar's header leaves out

KEYWORDS = """
abort action add after all alter always analyze and as asc attach autoincrement before begin between by
cascade case cast check collate column commit conflict constraint create cross current current_date
current_time current_timestamp database default deferrable deferred delete desc detach distinct do drop each
else end escape except exclude exclusive exists explain fail filter first following for foreign from full
generated glob group groups having if ignore immediate in index indexed initially inner insert instead
intersect into is isnull join key last left like limit match materialized natural no not nothing notnull
null nulls of offset on or order others outer over partition plan pragma preceding primary query raise range
recursive references regexp reindex release rename replace restrict returning right rollback row rows
savepoint select set table temp temporary then ties to transaction trigger unbounded union unique update
using vacuum values view virtual when where window with without
""".split()
# Many of them are names in SQLite where it cannot use them otherwise. The grammar reserves some; the others
# are lost to it where they stand right behind an expression or a name that they can follow.
WORDS = re.compile(rf"(?i)(?<![\w$])(?:{'|'.join(KEYWORDS)})(?![\w$])")
JOIN_WORDS = re.compile(r"(?i)\b(?:(?:cross|full|inner|left|natural|outer|right)\s+)+join\b")


def out_of_scope(text: str) -> str | None:
    """Why the grammar need not take a statement that SQLite takes, or None."""
    words = list(WORDS.finditer(text))
    for word in words:
        if parses("sql", f'{text[: word.start()]}"{word[0]}"{text[word.end() :]}'):
            return f"{word[0]} is a name"
    if parses("sql", WORDS.sub(lambda word: f'"{word[0]}"', text)):
        return "several such names"
    if parses("sql", JOIN_WORDS.sub("JOIN", text)):
        return "the words of a join in an order of their own"
    if re.search(r"/\*(?!.*\*/)", text, re.DOTALL):
        return "a block comment that is not closed"
    if re.search(r"(?i)\b(?:like|glob|regexp|match)\b.*\bnot\b.*\bescape\b", text, re.DOTALL):
        return "NOT before ESCAPE"
    if re.search(r"(?i)\b0x[0-9a-f]+[\w$\ufeff]", text):
        return "a name right behind a hexadecimal number"
    if re.match(r"(?is).*\b(?:update|delete)\b.*\b(?:order\s+by|limit)\b", text):
        return "UPDATE or DELETE with ORDER BY or LIMIT"
    return None


@pytest.mark.parametrize(
    "text",
    [
        "SELECT sum(total) OVER FROM orders",
        "SELECT * FROM left",
        "SELECT total rows FROM orders",
        "SELECT * FROM orders OUTER LEFT JOIN item",
        "SELECT /* open",
        "SELECT 1 LIKE NOT 2 ESCAPE '3'",
        "SELECT 0x1Fx",
        "DELETE FROM orders ORDER BY id LIMIT 1",
        "CREATE TABLE t (a, PRIMARY KEY ((a)))",
    ],
)
def test_left_out(text: str, database: sqlite3.Connection) -> None:
    assert not parses("sql", text)
    assert judge(database, text)[0] is not Verdict.VALID or out_of_scope(text) or "((a))" in text


# ---- Statements written by hand


@pytest.mark.parametrize("text", examples("sql")["accepted"])
def test_accepted(text: str, database: sqlite3.Connection) -> None:
    assert judge(database, text)[0] is Verdict.VALID
    load("sql").parse(text)


@pytest.mark.parametrize("text", examples("sql")["rejected"])
def test_rejected(text: str, database: sqlite3.Connection) -> None:
    assert judge(database, text)[0] is Verdict.INVALID
    assert not parses("sql", text)


RESERVED_HERE = {*"filter over window indexed cross full inner left natural outer right".split()}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE fresh ({} TEXT)",
        "CREATE TABLE {} AS SELECT 1",
        "SELECT {}",
        "SELECT x, {} FROM a",
        "SELECT a.{} FROM a",
        "SELECT {}.x FROM a",
        "SELECT x AS {} FROM a",
        "SELECT x FROM a AS {}",
        "SELECT {}(1)",
        "SELECT 1 + {} FROM a",
        "SELECT x FROM {}",
        "SELECT x FROM main.{}",
        "INSERT INTO a ({}) VALUES (1)",
        "UPDATE a SET {} = 1",
        "WITH {} AS (SELECT 1) SELECT 1",
        "CREATE INDEX {} ON a (x)",
    ],
)
def test_keywords_as_names(statement: str, database: sqlite3.Connection) -> None:
    for keyword in KEYWORDS:
        text = statement.format(keyword)
        valid = judge(database, text)[0] is not Verdict.INVALID
        assert parses("sql", text) == (valid and keyword not in RESERVED_HERE), text


# ---- Statements made from the grammar


@pytest.fixture(scope="module")
def same_names() -> Iterator[sqlite3.Connection]:
    """A database in which databases, tables, columns and functions are all called a, b or x."""
    connection = sqlite3.connect(":memory:")
    connection.executescript("ATTACH ':memory:' AS a; ATTACH ':memory:' AS b; ATTACH ':memory:' AS x")
    connection.executescript(
        "".join(
            f"CREATE TABLE {schema}.{table} (a, b UNIQUE, x);"
            for schema in ("main", *"abx")
            for table in "abx"
        )
    )
    for name in "abx":
        connection.create_function(name, -1, lambda *arguments: 1)
    yield connection
    connection.close()


SAMPLERS = {
    "NAME": one_of(*"abx" * 4, "count", "max", '"a"', "[b]", "`x`", "fresh"),
    "STRING": one_of("'a'", "'b'", "'it''s'"),
    "NUMBER": one_of("1", "2", "3.5", ".5", "1e3", "0x1F"),
    "BLOB": one_of("x'00ff'", "X''"),
    "VARIABLE": one_of("?", "?1", ":x", "@y", "$z"),
}


def _keyword(terminal: str) -> str:
    return terminal.lower()


@pytest.mark.parametrize(("size", "calm"), [(30, 0.8), (60, 0.7), (300, 0.5)])
def test_generated(size: int, calm: float, same_names: sqlite3.Connection) -> None:
    maker = SentenceMaker("sql", SAMPLERS, _keyword, calm)
    rng = random.Random(f"{size} {calm}")
    verdicts = []
    for _ in range(300):
        text = " ".join(maker.make(rng, size))
        load("sql").parse(text)
        verdict, message = judge(same_names, text)
        assert verdict is not Verdict.INVALID, f"{message}: {text}"
        verdicts.append(verdict)
    # Most faults are tables, columns and windows that do not exist.
    assert verdicts.count(Verdict.VALID) > 60


# ---- Statements a few edits away

_LEXEMES = re.compile(r"\w+|[^\w\s]+")
_PIECES = sorted({lexeme for text in examples("sql")["accepted"] for lexeme in _LEXEMES.findall(text)})


@pytest.mark.parametrize("seed", range(4))
def test_mutated(seed: int, database: sqlite3.Connection) -> None:
    rng = random.Random(seed)
    pieces = (*_PIECES, *(f" {piece} " for piece in _PIECES))
    inconclusive = judged = 0
    for example in examples("sql")["accepted"]:
        for text in mutations(example, rng, 10, " ()',.*=\"1ax[]`-/;:?$\n\v\ufeff", pieces):
            verdict, message = judge(database, text)
            judged += 1
            if parses("sql", text):
                assert verdict is not Verdict.INVALID, f"{message}: {text}"
            elif verdict is Verdict.VALID:
                assert out_of_scope(text), text
            elif verdict is Verdict.MEANINGLESS and not out_of_scope(text):
                # SQLite may have met an unknown name before it met the fault of the syntax.
                inconclusive += 1
    assert inconclusive < judged / 100
