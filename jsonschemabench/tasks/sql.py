"""Text to SQL: a question about one or two tables, judged by running the query on SQLite."""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jsonschemabench.tasks.base import Domain, Task

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

#: what questions say, and how schemas may spell it: the model has to look at the schema
_TEXTS = {
    "name": ("name", "title", "label"),
    "city": ("city", "town", "place"),
    "country": ("country", "nation", "land"),
    "kind": ("kind", "type", "category"),
    "colour": ("colour", "color", "shade"),
}
_NUMBERS = {
    "price": ("price", "cost", "fee"),
    "age": ("age", "years", "age_years"),
    "weight": ("weight", "mass", "kg"),
    "size": ("size", "area", "extent"),
    "score": ("score", "rating", "points"),
    "income": ("income", "salary", "pay"),
}
_TABLES = ("singer", "ship", "shop", "farm", "team", "hotel", "plant", "museum", "river", "book")
_WORDS = ("red", "blue", "oslo", "lima", "kent", "anna", "otto", "north", "small", "old", "peru", "mali")
_ROWS = 12
#: virtual machine steps of SQLite after which a query is given up
_STEPS = 200_000

_KEYWORDS = frozenset(
    "SELECT FROM WHERE JOIN ON AND OR NOT IN IS NULL AS GROUP BY ORDER HAVING LIMIT ASC DESC DISTINCT "
    "BETWEEN LIKE COUNT SUM AVG MIN MAX".split()
)
_LEXEME = re.compile(r"'(?:[^']|'')*'?|[A-Za-z_][A-Za-z_0-9]*|.", re.DOTALL)


class Sql(Domain):
    """Queries as SQLite reads them; the predicate is that all names are of the schema.

    An unfinished query is refused when a bare name is neither a keyword of plain queries nor a table nor a
    column; a finished one where SQLite cannot prepare it (a column of another table, wrong use of an
    aggregate). Aliases are thereby excluded.
    """

    name = "sql"
    max_tokens = 56

    def make(self, rng: random.Random) -> Task:
        """Return a question about a random schema."""
        first, second = rng.sample(_TABLES, 2)
        tables = {first: _columns(rng), second: _columns(rng)}
        texts, numbers = (
            {word: name for word, name in tables[first].items() if word in kinds}
            for kinds in (_TEXTS, _NUMBERS)
        )
        text, other = rng.sample(sorted(texts), 2)
        number = rng.choice(sorted(numbers))
        bound = rng.randrange(10, 90)
        comparison, sign = rng.choice((("above", ">"), ("below", "<")))
        direction, order = rng.choice((("highest", "DESC"), ("lowest", "ASC")))
        aggregate, function = rng.choice((("average", "AVG"), ("total", "SUM"), ("largest", "MAX")))
        t, o, n = texts[text], texts[other], numbers[number]
        foreign = rng.choice(sorted(set(_TEXTS) & set(tables[second])))
        other_column, join = f"{second}.{tables[second][foreign]}", f"{first}.{second}_id = {second}.id"
        question, query = rng.choice(
            (
                (f"the {text} of each {first}", f"SELECT {t} FROM {first}"),
                (f"the {text} and {other} of each {first}", f"SELECT {t}, {o} FROM {first}"),
                (
                    f"the {text} of each {first} with a {number} {comparison} {bound}",
                    f"SELECT {t} FROM {first} WHERE {n} {sign} {bound}",
                ),
                (
                    f"how many have a {number} {comparison} {bound}, of {first}",
                    f"SELECT COUNT(*) FROM {first} WHERE {n} {sign} {bound}",
                ),
                (f"the {aggregate} {number} of all {first}", f"SELECT {function}({n}) FROM {first}"),
                (
                    f"the {text} of the {first} with the {direction} {number}",
                    f"SELECT {t} FROM {first} ORDER BY {n} {order} LIMIT 1",
                ),
                (
                    f"the {aggregate} {number} of {first} for each {text}",
                    f"SELECT {t}, {function}({n}) FROM {first} GROUP BY {t}",
                ),
                (
                    f"the {text} of each {first} with the {foreign} of its {second}",
                    f"SELECT {first}.{t}, {other_column} FROM {first} JOIN {second} ON {join}",
                ),
            )
        )
        shown = {
            first: ["id", *tables[first].values(), f"{second}_id"],
            second: ["id", *tables[second].values()],
        }
        listed = list(shown)
        rng.shuffle(listed)
        schema = " ".join(f"{table}({', '.join(shown[table])})" for table in listed)
        kinds = {name: word in _TEXTS for table in tables.values() for word, name in table.items()}
        data = {"tables": shown, "texts": sorted(c for c in kinds if kinds[c]), "rows": rng.getrandbits(32)}
        return Task(f"SQL {schema}\n{question}\n", query, data)

    def constraint(self, task: Task, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the automaton of SELECT statements."""
        import structgen

        return structgen.compile_lark("grammars:sql", vocabulary, start="select")

    def possible(self, task: Task, text: str) -> bool:
        """Return whether all bare names are names of the schema or keywords, or the beginnings of one."""
        names = _names(task)
        lexemes = _LEXEME.findall(text)
        for i, lexeme in enumerate(lexemes):
            if not (lexeme[0].isalpha() or lexeme[0] == "_"):
                continue
            if lexeme in names or lexeme.upper() in _KEYWORDS:
                continue
            whole = i + 1 < len(lexemes)
            if whole or not any(
                name.startswith(word)
                for word, known in ((lexeme, names), (lexeme.upper(), _KEYWORDS))
                for name in known
            ):
                return False
        return True

    def permitted(self, task: Task, text: str) -> bool:
        """Return whether SQLite can prepare the query, and its names are as in :meth:`possible`."""
        # A space ends the last name.
        if not self.possible(task, text + " "):
            return False
        with _database(task, rows=False) as connection:
            try:
                connection.execute(f"EXPLAIN {text}")
            except (sqlite3.Error, sqlite3.Warning, ValueError):
                return False
        return True

    def correct(self, task: Task, text: str) -> bool:
        """Return whether the query gives the rows that the reference gives, in any order."""
        with _database(task, rows=True) as connection:
            # Nothing but reading: a statement that changes the data is wrong, whatever it returns.
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(lambda: 1, _STEPS)
            try:
                found = connection.execute(text).fetchall()
            except (sqlite3.Error, sqlite3.Warning, ValueError):
                return False
            expected = connection.execute(task.reference).fetchall()
        return Counter(map(repr, found)) == Counter(map(repr, expected))


def _columns(rng: random.Random) -> dict[str, str]:
    texts = rng.sample(sorted(_TEXTS), 2)
    numbers = rng.sample(sorted(_NUMBERS), 2)
    return {
        **{word: rng.choice(_TEXTS[word]) for word in texts},
        **{word: rng.choice(_NUMBERS[word]) for word in numbers},
    }


def _names(task: Task) -> frozenset[str]:
    tables = task.data["tables"]
    return frozenset(tables).union(*tables.values())


@contextmanager
def _database(task: Task, *, rows: bool) -> Iterator[sqlite3.Connection]:
    rng = random.Random(task.data["rows"])
    connection = sqlite3.connect(":memory:")
    try:
        for table, columns in task.data["tables"].items():
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            if rows:
                marks = ", ".join("?" * len(columns))
                values = [[_value(rng, task, column, i) for column in columns] for i in range(_ROWS)]
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
        yield connection
    finally:
        connection.close()


def _value(rng: random.Random, task: Task, column: str, row: int) -> Any:
    if column == "id":
        return row
    if column.endswith("_id"):
        return rng.randrange(_ROWS)
    # Numbers differ within a column, so that the highest one is one.
    return rng.choice(_WORDS) if column in task.data["texts"] else rng.randrange(100) + row / 100
