"""Documents: values as other readers give them, and places that hold those values."""

import io
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import ruamel.yaml
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.cli._common import UnusableInputError
from structgen.cli._documents import Document, Path, parse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = st.text(max_size=5)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every part of a value with its path."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


def loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


@given(VALUES, st.sampled_from([None, 0, 3, "\t"]), st.booleans())
def test_places_in_json_hold_the_values(value: Any, indent: Any, ascii_only: bool) -> None:
    text = " " + json.dumps(value, indent=indent, ensure_ascii=ascii_only) + "\n"
    [document] = parse(text, "x", "json")
    assert document.value == loads(text)
    assert document.repeated == []
    parts = dict(paths(document.value))
    spans = document.spans(parts)
    for path, part in parts.items():
        span = spans[path]
        assert loads(text[span.start : span.end]) == part
        if path and isinstance(path[-1], str):
            assert span.key is not None
            assert json.loads(text[span.key[0] : span.key[1]]) == path[-1]
        else:
            assert span.key is None
        # Each alone gives the same as all together.
        assert document.spans([path]) == {path: span}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", '"', "\\"]), st.integers(0, 9)), max_size=5))
def test_repeated_keys_are_found_and_the_last_one_is_the_place(members: list[tuple[str, int]]) -> None:
    text = "[{" + ", ".join(f"{json.dumps(key)}: {number}" for key, number in members) + '}, "a", {"a": 0}]'
    [document] = parse(text, "x", "json")
    keys = [key for key, _ in members]
    assert [key for key, _ in document.repeated] == [key for n, key in enumerate(keys) if key in keys[:n]]
    for key, number in dict(members).items():
        span = document.spans([(0, key)])[0, key]
        assert text[span.start : span.end] == str(number)
        assert text[: span.start].count(": ") == 1 + max(n for n, other in enumerate(keys) if other == key)


def test_what_is_nowhere_is_at_its_parent() -> None:
    [document] = parse('{"a": [1]}', "x", "json")
    spans = document.spans([("a", 5), ("b", "c")])
    assert spans["a", 5][:2] == (6, 9)
    assert spans["b", "c"][:2] == (0, 10)


@settings(max_examples=50)
@given(VALUES, st.booleans())
def test_yaml_of_json_values_has_those_values_in_their_places(value: Any, flow: bool) -> None:
    reader = ruamel.yaml.YAML(typ="safe", pure=True)
    # Where it folds double-quoted text, ruamel.yaml loses the white space.
    reader.width = 1 << 20
    reader.default_flow_style, reader.sort_base_mapping_type_on_output = flow, False
    written = io.StringIO()
    reader.dump(value, written)
    text = written.getvalue()
    [document] = parse(text, "x", "yaml")
    assert same(document.value, value)
    parts = dict(paths(document.value))
    spans = document.spans(parts)
    for path, part in parts.items():
        if not isinstance(part, (dict, list)):
            held = reader.load(text[spans[path].start : spans[path].end])
            assert same(part, held) or path == ()


def same(read: Any, value: Any) -> bool:
    """Compare values, of which one has exact numbers."""
    if isinstance(value, float):
        return float(read) == value
    if isinstance(value, dict):
        return list(read) == list(value) and all(same(read[key], value[key]) for key in value)
    if isinstance(value, list):
        return len(read) == len(value) and all(map(same, read, value))
    return type(read) is type(value) and read == value


SCALARS = """
null Null NULL ~ nULL true True TRUE tRUE false False yes no on off y n 0 1 -1 +1 007 0o17 0x1F 0xg 1_000 1.5
-.5 5. 1e3 1E-3 .e3 12:30 2024-01-01 2024-01-01T00:00:00Z 0b11 1,5 . - = <
""".split()


@pytest.mark.parametrize("text", [s for s in SCALARS if s not in ("-", "<", "=")])
def test_plain_scalars_are_those_of_the_core_schema(text: str) -> None:
    # ruamel.yaml is an independent reader of YAML 1.2; in details that the core schema settles it is 1.1.
    [document] = parse(f"[{text}]" if "," not in text else f"- {text}", "x", "yaml")
    [value] = document.value
    settled = {
        "0b11": "0b11",
        "1_000": "1_000",
        ".e3": ".e3",
        "2024-01-01": text,
        "2024-01-01T00:00:00Z": text,
    }
    if text in settled:
        assert value == settled[text]
        return
    other = ruamel.yaml.YAML(typ="safe", pure=True).load(f"- {text}")[0]
    assert (float(value) if isinstance(other, float) else value) == other
    assert isinstance(value, str) == isinstance(other, str)


def test_merge_keys_and_aliases() -> None:
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nown: {<<: [*b, *m], x: 5}\n"
    text += "again: *b\nquoted: {'<<': 1}\n"
    [document] = parse(text, "x", "yaml")
    assert document.value == {**yaml.safe_load(text.replace("'<<'", "q")), "quoted": {"<<": 1}}
    assert document.position(document.spans([("own", "y")])["own", "y"].start) == (1, 20)
    assert document.position(document.spans([("own", "x")])["own", "x"].start) == (3, 24)


def test_yaml_without_its_library_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "é: &a [1, '😀']\nb: {<<: {x: 2}, y: *a}\n"
    with_library = parse(text, "x", "yaml")[0]
    monkeypatch.delattr(yaml, "CLoader")
    without = parse(text, "x", "yaml")[0]
    parts = dict(paths(without.value))
    assert without.value == with_library.value
    assert without.spans(parts) == with_library.spans(parts)
    with pytest.raises(UnusableInputError, match="x:1:5: is not YAML"):
        parse("[1, }", "x", "yaml")


def test_documents_of_a_stream_are_numbered() -> None:
    documents = parse("a: 1\n---\n- 2\n...\n---\n", "x", "yaml")
    assert [(document.index, document.value) for document in documents] == [
        (0, {"a": 1}),
        (1, [2]),
        (2, None),
    ]
    assert documents[1].position(documents[1].spans([(0,)])[0,].start) == (3, 3)


TOML = '''
title = "x"   # = [no] {table}
"quoted key".'inner'.bare = 1
many = [
  1, # ]
  { a = 2 },
]
text = """
many = 3
[no.table]
"""
raw = \'\'\'
raw = 4
\'\'\'
[table.sub]
when = 2024-01-01T10:00:00Z
day = 2024-01-01
[[list]]
k = 1
[[list]]
k = 2
[list.deeper]
q = "]"
[[list.nested]]
r = 1.50
'''

TOML_LINES = {
    ("title",): 2,
    ("quoted key", "inner", "bare"): 3,
    ("many",): 4,
    ("many", 1, "a"): 4,
    ("text",): 8,
    ("raw",): 12,
    ("table",): 15,
    ("table", "sub", "when"): 16,
    ("table", "sub", "day"): 17,
    ("list",): 18,
    ("list", 0, "k"): 19,
    ("list", 1): 20,
    ("list", 1, "k"): 21,
    ("list", 1, "deeper", "q"): 23,
    ("list", 1, "nested", 0, "r"): 25,
}


def test_toml_is_read_as_tomllib_does_and_placed_by_lines() -> None:
    [document] = parse(TOML, "x", "toml")
    plain = json.loads(json.dumps(tomllib.loads(TOML), default=lambda value: value.isoformat()))
    assert same(document.value, plain)
    spans = document.spans(TOML_LINES)
    assert {path: document.position(span.start)[0] for path, span in spans.items()} == TOML_LINES


@pytest.mark.parametrize("form", ["json", "yaml", "toml"])
def test_lines_and_columns_count_code_points(form: str) -> None:
    text = {"json": '{\r\n "😀é": [7]}', "yaml": '\r\n"😀é": [7]', "toml": '\r\n"😀é" = [7]'}[form]
    [document] = parse(text, "x", form)
    span = document.spans([("😀é",)])["😀é",]
    assert document.position(span.start) == (2, 8 if form == "toml" else 8 if form == "json" else 7)
    assert document.line_at(span.start)[0] == text.split("\r\n")[1]


def test_a_line_of_many_has_its_number() -> None:
    [document] = parse("[1,\n2]", "x", "json", first_line=40)
    assert isinstance(document, Document)
    assert document.position(4) == (41, 1)
