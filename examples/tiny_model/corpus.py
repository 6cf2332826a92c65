"""Makes the text that the tiny model is trained on: JSON documents, SQL statements and Python sources.

Everything is a function of a seed (and, for Python, of the standard library of the running interpreter), so
that the corpus need not be stored. ``python corpus.py --seed 0 --documents 5`` prints a sample.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sysconfig
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lexicon as lx
import shapes

END = "<|endoftext|>"
#: share of each source in the characters of the corpus
SHARES = {"json": 0.66, "sql": 0.12, "python": 0.22}
#: one Python file in this many is never trained on
HELD_OUT_FILES = 20
_SKIPPED_FOLDERS = frozenset(
    (
        "test",
        "tests",
        "idlelib",
        "lib2to3",
        "site-packages",
        "dist-packages",
        "encodings",
        "pydoc_data",
        "turtledemo",
    )
)


@dataclass(frozen=True)
class Document:
    """One text of the corpus.

    Parameters
    ----------
    kind
        ``"sql"``, ``"python"`` or the kind of a JSON document.
    prompt
        What stands before the body, possibly empty.
    body
        The document itself: for a JSON kind exactly one JSON text.
    """

    kind: str
    prompt: str
    body: str

    @property
    def text(self) -> str:
        """Prompt and body, without the end token."""
        return self.prompt + self.body


def dump(value: Any, rng: random.Random) -> str:
    """Write `value` in one of the usual spacings: compact, the default of ``json.dumps``, indented."""
    ascii_only = rng.random() < 0.1
    draw = rng.random()
    if draw < 0.35:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)
    if draw < 0.65:
        return json.dumps(value, ensure_ascii=ascii_only)
    return json.dumps(value, indent=2 if draw < 0.97 else 4, ensure_ascii=ascii_only)


def _restyle(value: Any) -> Any:
    """Turn snake_case keys into camelCase."""
    if isinstance(value, dict):
        return {re.sub(r"_(\w)", lambda m: m[1].upper(), key): _restyle(item) for key, item in value.items()}
    return [_restyle(item) for item in value] if isinstance(value, list) else value


def _facts(value: Any, rng: random.Random) -> str:
    """One or two scalar members of `value` in words, so that prompts carry content to copy."""
    scalars = [
        (k, v) for k, v in value.items() if isinstance(v, (str, int, float)) and not isinstance(v, bool)
    ]
    chosen = rng.sample(scalars, min(len(scalars), rng.randint(1, 2)))
    return ", ".join(f"{key.replace('_', ' ')} {item}" for key, item in chosen)


def _json_prompt(kind: str, value: Any, rng: random.Random) -> str:
    title, phrase, other = shapes.KINDS[kind][2]
    draw = rng.random()
    if draw < 0.2:
        return ""
    if draw < 0.45:
        return f"{title} as JSON:\n"
    if draw < 0.6:
        return (
            f"{rng.choice(('Write', 'Generate', 'Give me', 'Make'))} {rng.choice((phrase, other))} as JSON.\n"
        )
    if draw < 0.65:
        return f"JSON for {rng.choice((phrase, other))}: "
    if draw < 0.8 and isinstance(value, dict) and value:
        if rng.random() < 0.5:
            return f"{title} with {_facts(value, rng)} as JSON:\n"
        return f"{title} as JSON with the keys {', '.join(value)}:\n"
    if draw < 0.95:
        schema = json.dumps(shapes.schema_of(value, rng), separators=(",", ":"), ensure_ascii=False)
        # A schema much longer than its instance would make the corpus mostly schemas.
        if len(schema) < 900:
            return f"Schema: {schema}\nJSON: "
    return f"{title}:\n"


def json_document(rng: random.Random) -> Document:
    """Return a JSON document of a random kind and spacing, mostly with a prompt line before it."""
    kind = rng.choices(list(shapes.KINDS), [weight for _, weight, _ in shapes.KINDS.values()])[0]
    value = shapes.KINDS[kind][0](rng)
    if rng.random() < 0.2:
        value = _restyle(value)
    if rng.random() < 0.08:
        value = [value, *(shapes.KINDS[kind][0](rng) for _ in range(rng.randint(0, 1)))]
    if rng.random() < 0.04:
        return Document("schema", "JSON Schema:\n", dump(shapes.schema_of(value, rng), rng))
    return Document(kind, _json_prompt(kind, value, rng), dump(value, rng))


def _literal(rng: random.Random) -> str:
    name = lx.sentence(rng).replace("'", "''")
    return rng.choice(
        (str(rng.randint(0, 9999)), f"'{name}'", f"'{lx.date(rng)}'", "NULL", f"{rng.random() * 99:.2f}")
    )


def _condition(columns: list[str], rng: random.Random) -> str:
    tests = []
    for column in rng.sample(columns, rng.randint(1, min(3, len(columns)))):
        tests.append(
            rng.choice(
                (
                    f"{column} {rng.choice(('=', '<', '>', '<=', '>=', '<>'))} {rng.randint(0, 1000)}",
                    f"{column} = {_literal(rng)}",
                    f"{column} IS {rng.choice(('', 'NOT '))}NULL",
                    f"{column} LIKE '%{rng.choice(lx.NOUNS)}%'",
                    f"{column} IN ({', '.join(str(rng.randint(1, 99)) for _ in range(rng.randint(1, 4)))})",
                    f"{column} BETWEEN {rng.randint(0, 50)} AND {rng.randint(51, 500)}",
                )
            )
        )
    return rng.choice((" AND ", " OR ")).join(tests)


def _select(table: str, columns: list[str], rng: random.Random) -> str:
    chosen = rng.choice(("*", ", ".join(columns), f"COUNT(*), {columns[0]}", f"DISTINCT {columns[0]}"))
    parts = [f"SELECT {chosen}", f"FROM {table}"]
    if rng.random() < 0.35:
        other = f"{rng.choice(lx.NOUNS)}s"
        parts.append(f"{rng.choice(('JOIN', 'LEFT JOIN'))} {other} ON {table}.id = {other}.{table[:-1]}_id")
    if rng.random() < 0.7:
        parts.append(f"WHERE {_condition(columns, rng)}")
    if chosen.startswith("COUNT"):
        parts.append(f"GROUP BY {columns[0]}")
        if rng.random() < 0.4:
            parts.append(f"HAVING COUNT(*) > {rng.randint(1, 20)}")
    if rng.random() < 0.4:
        parts.append(f"ORDER BY {rng.choice(columns)}{rng.choice(('', ' ASC', ' DESC'))}")
    if rng.random() < 0.4:
        parts.append(f"LIMIT {rng.choice((1, 5, 10, 50, 100))}")
    return rng.choice((" ", "\n")).join(parts) + ";"


def _statement(table: str, columns: list[str], rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.5:
        return _select(table, columns, rng)
    if draw < 0.68:
        rows = [f"({', '.join(_literal(rng) for _ in columns)})" for _ in range(rng.randint(1, 3))]
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join(rows)};"
    if draw < 0.78:
        changes = ", ".join(f"{column} = {_literal(rng)}" for column in columns[:2])
        return f"UPDATE {table} SET {changes} WHERE {_condition(columns, rng)};"
    if draw < 0.84:
        return f"DELETE FROM {table} WHERE {_condition(columns, rng)};"
    if draw < 0.95:
        types = ("INTEGER", "TEXT", "VARCHAR(255)", "BOOLEAN", "DATE", "NUMERIC(10, 2)", "TIMESTAMP")
        lines = ["id INTEGER PRIMARY KEY"]
        lines += [f"{c} {rng.choice(types)}{rng.choice(('', '', ' NOT NULL'))}" for c in columns]
        return f"CREATE TABLE {table} (\n  " + ",\n  ".join(lines) + "\n);"
    return f"CREATE {rng.choice(('', 'UNIQUE '))}INDEX {table}_{columns[0]}_idx ON {table} ({columns[0]});"


def sql_document(rng: random.Random) -> Document:
    """Return one to four SQL statements over one table, sometimes in lower case."""
    table = f"{rng.choice(lx.NOUNS)}s"
    columns = rng.sample(
        [*lx.NOUNS, "name", "created_at", "user_id", "price", "total", "first_name"], rng.randint(1, 5)
    )
    body = "\n".join(_statement(table, columns, rng) for _ in range(rng.choice((1, 1, 2, 3, 4))))
    if rng.random() < 0.2:
        body = re.sub(r"'[^']*'|[A-Z]{2,}", lambda m: m[0] if m[0][0] == "'" else m[0].lower(), body)
    prompt = rng.choice(
        ("", "SQL:\n", f"-- {rng.choice(lx.VERBS)} {table}\n", f"SQL for the table {table}:\n")
    )
    return Document("sql", prompt, body)


def python_documents(held_out: bool = False, limit: int = 4000) -> list[Document]:
    """Return the standard library's sources, cut into pieces that mostly begin with a top-level definition.

    Parameters
    ----------
    held_out
        Return the files kept for evaluation instead of those for training.
    limit
        A piece ends before the first top-level definition after this many characters, and after twice as many
        anywhere.
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if _SKIPPED_FOLDERS.intersection(path.relative_to(root).parts):
            continue
        if (zlib.crc32(name.encode()) % HELD_OUT_FILES == 0) != held_out:
            continue
        piece: list[str] = []
        size = 0
        for line in path.read_text(encoding="utf-8", errors="ignore").splitlines(keepends=True):
            if (size > limit and re.match(r"class |def |async def |@", line)) or size > 2 * limit:
                documents.append(Document("python", f"# {name}\n", "".join(piece)))
                piece, size = [], 0
            piece.append(line)
            size += len(line)
        if piece:
            documents.append(Document("python", f"# {name}\n", "".join(piece)))
    return documents


def documents(seed: int | str, characters: int, held_out: bool = False) -> Iterator[Document]:
    """Yield documents of all sources, mixed by `SHARES`.

    Parameters
    ----------
    seed
        The same seed gives the same documents (with the same standard library).
    characters
        Stop once this much text has been yielded.
    held_out
        Take Python from the files kept for evaluation. JSON and SQL differ by the seed only.
    """
    rng = random.Random(f"tiny-model/{seed}")
    sources = python_documents(held_out)
    order: list[int] = []
    written = dict.fromkeys(SHARES, 0)
    while sum(written.values()) < characters:
        # The source furthest behind its share comes next, so that the mixture holds everywhere in the stream.
        source = min(SHARES, key=lambda name: written[name] / SHARES[name])
        if source == "python":
            if not order:
                order = rng.sample(range(len(sources)), len(sources))
            document = sources[order.pop()]
        else:
            document = json_document(rng) if source == "json" else sql_document(rng)
        written[source] += len(document.text)
        yield document


def main() -> None:
    """Print a sample of the corpus."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=5)
    arguments = parser.parse_args()
    stream = documents(arguments.seed, 10**12)
    for _ in range(arguments.documents):
        print(next(stream).text + END)


if __name__ == "__main__":
    main()
