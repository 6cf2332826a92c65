"""``structgen show``."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

import structgen
from structgen.cli import cli
from structgen.cli._inspect import described, json_stack

SCHEMA = (
    '{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name"]}'
)


def run(*arguments, vocabulary="bytes"):
    return CliRunner().invoke(cli, ["show", *arguments, "--vocabulary", vocabulary])


def record(*arguments, **options):
    return json.loads(run(*arguments, "--format", "json", **options).stdout)


def test_after_a_prefix_of_json():
    found = record(SCHEMA, "--text", '{"name": "a')
    assert found["alive"]
    assert (found["place"], found["stack"]) == ("/name", ['object, property "name"', 'string "a'])
    assert not found["may_end"]
    assert found["shortest"] == '"}'
    # All of a string's bytes but quotes and control characters; UTF-8 has no bytes of 0x80 to 0xc1 here.
    automaton = structgen.compile_json_schema(json.loads(SCHEMA), structgen.Vocabulary.of_bytes())
    state = automaton.advance_bytes(automaton.start, b'{"name": "a')
    allowed = [byte for byte in range(256) if automaton.step(state, byte) != structgen.DEAD]
    assert found["allowed"] == len(allowed)
    assert sum(group["count"] for group in found["groups"]) == len(allowed)
    assert sum(group["share"] for group in found["groups"]) == pytest.approx(1)
    letters = next(group for group in found["groups"] if group["name"] == "letters")
    assert letters["count"] == 52


def test_forced_text_and_end():
    found = record("regex:abc(d)?", "--text", "a")
    assert (found["forced"], found["allowed"], found["may_end"]) == ("bc", 1, False)
    found = record("regex:abc(d)?", "--text", "abc")
    assert (found["forced"], found["allowed"], found["may_end"]) == ("", 1, True)
    assert found["expected"] == "d or the end"
    found = record("regex:abc(d)?", "--text", "abcd")
    assert (found["allowed"], found["may_end"], found["groups"]) == (0, True, [])


def test_rules_that_are_open():
    found = record("grammars:arithmetic", "--text", "1+(2*")
    automaton = structgen.compile_lark("grammars:arithmetic", structgen.Vocabulary.of_bytes())
    state = automaton.advance_bytes(automaton.start, b"1+(2*")
    assert found["stack"] == list(automaton.open_rules(state)) != []
    assert found["place"] is None


def test_tokens_of_a_real_vocabulary():
    found = record('{"enum": ["red", "green"]}', "--text", '"', vocabulary="tiny")
    for group in found["groups"]:
        assert group["name"] == "letters"
        assert all(
            "red".startswith(e.rstrip('"')) or "green".startswith(e.rstrip('"')) for e in group["examples"]
        )
    assert 0 < found["allowed"] < 20
    assert found["vocabulary"] > 1000


@pytest.mark.parametrize(
    ("text", "good", "expected"),
    [
        ('{"nme', 3, "a"),
        ('{"name": 1', 9, 'tab line feed return space "'),
        ("[", 0, "tab line feed return space {"),
    ],
)
def test_a_refused_text(text, good, expected):
    schema = SCHEMA.replace('"required"', '"additionalProperties":false,"required"')
    result = run(schema, "--text", text)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"refused after {good} bytes"
    assert lines[2].index("^") == 2 + good
    assert lines[3] == f"  expected: {expected}"


@pytest.mark.parametrize(
    ("schema", "text", "options", "named"),
    [
        ('{"properties": {"a": {}, "b": {}}}', '{"b": 1, "a"', [], "property_order=any"),
        ('{"type": "integer"}', "1.", [], "numbers=all"),
        ('{"const": "a"}', '"\\u0061', [], "escapes=all"),
        ('{"type": "array"}', "[ ", ["-O", "whitespace=compact"], "whitespace=flexible"),
        ('{"type": "array"}', "{", [], None),
    ],
)
def test_refusals_for_a_spelling_name_the_option(schema, text, options, named):
    found = record(schema, "--text", text, *options)
    assert not found["alive"]
    assert found["note"] == (named and f"it is a matter of spelling: with -O {named} the text goes on")
    if named is not None:
        assert record(schema, "--text", text, "-O", named)["alive"]


@pytest.mark.parametrize(
    ("token", "allowed", "words"),
    [
        ("12", True, '"12" may follow'),
        (
            "1x",
            False,
            '"1x" is refused at its byte 2, "x", after "1": expected tab line feed return space , 0-9 }',
        ),
        ("true", False, '"true" is refused at its byte 1, "t": expected'),
        ("#49", True, 'token 49 ("1") may follow'),
        ("#116", False, 'token 116 ("t") is refused at its byte 1'),
        ("#256", False, "is an end token; the text may not end here"),
    ],
)
def test_why_a_token_is_refused(token, allowed, words):
    result = run(SCHEMA, "--text", '{"name":"a","age":', "--token", token)
    assert result.exit_code == (0 if allowed else 1)
    assert words in result.stdout.splitlines()[-1]
    assert ("allowed: " if allowed else "refused: ") in result.stdout.splitlines()[-1]


def test_text_report():
    assert run("regex:a(b|[0-9]{2})!", "--text", "a").stdout == (
        'after "a"\n'
        "  may end:  no\n"
        '  shortest: "b!"\n'
        "  expected: 0-9 b\n"
        "  allowed:  11 tokens, 4.3% of single bytes\n"
        '     90.9%       10  digits   "0"  "1"  "2"  "3"  "4"  "5"\n'
        '      9.1%        1  letters  "b"\n'
    )


def test_dead_ends_of_guards_are_told():
    schema = '{"type":"array","uniqueItems":true,"items":{"type":"object","maxProperties":0},"minItems":2}'
    result = run(schema, "--text", "[{}")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("  note:")
    assert result.stdout.splitlines()[-1].endswith("uniqueItems")


@pytest.mark.parametrize(
    ("text", "pointer", "stack"),
    [
        ("", "", []),
        (
            '{"a": [1, {"b/~": "x',
            "/a/1/b~1~0",
            ['object, property "a"', "array, item 1", 'object, property "b/~"', 'string "x'],
        ),
        ('{"a": 1, "b', "", ["object", 'key "b']),
        ('{"a": {}, "b": 12', "/b", ['object, property "b"', "value 12"]),
        ('["\\"", tru', "/1", ["array, item 1", "value tru"]),
        ('["a\\', "/0", ["array, item 0", 'string "a\\']),
        ('{"a":"b"}', "", []),
    ],
)
def test_json_stack(text, pointer, stack):
    assert json_stack(text) == (pointer, stack)


def test_described():
    assert described(b"") == ""
    assert described(b"abd") == "a b d"
    assert described(b"0123456789,]") == ", 0-9 ]"
    assert (
        described(set(range(256)) - set(b'"\\') - set(range(32)))
        == 'any character but " \\ control characters'
    )
    assert described(b"a\xc3") == "a and what is not ASCII"


def test_what_a_model_would_say():
    arguments = ["regex:[0-9]{4}( AD)?", "--model", "tiny", "--prompt", "The year is "]
    found = record(*arguments, "--text", "19")
    import torch

    from structgen.testing import tiny_model

    model, tokenizer = tiny_model.load()
    ids = tokenizer("The year is ")["input_ids"] + tokenizer("19")["input_ids"]
    with torch.inference_mode():
        probabilities = model(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    # "19" is the beginning of four digits.
    allowed = [i for i, text in enumerate(texts) if re.fullmatch(r"\d|\d\d( |$)( A(D)?)?", text)]
    assert found["allowed_probability"] == pytest.approx(float(probabilities[allowed].sum()), rel=1e-6)
    best = probabilities.topk(8)
    assert [one["token_id"] for one in found["likely"]] == best.indices.tolist()
    for one, probability in zip(found["likely"], best.values.tolist(), strict=True):
        assert one["probability"] == pytest.approx(probability, rel=1e-6)
        assert (one["reason"] is None) == (one["token_id"] in allowed)
        expected = probability / found["allowed_probability"] if one["reason"] is None else 0
        assert one["share"] == pytest.approx(expected, rel=1e-6)
    assert found["allowed"] == len(allowed)
    assert "of its probability is on what is allowed" in run(*arguments).stdout
    assert run("regex:a", "--model", "no/such/folder/at/all").exit_code == 2


# -- graphs --------------------------------------------------------------------------------


def test_dot_is_the_automaton():
    """The graph, read as an automaton, accepts what the pattern matches."""
    pattern = "(ab|c)*d?"
    source = run(f"regex:{pattern}", "--dot", "-").stdout
    final = set(re.findall(r"(s\d+) \[shape=doublecircle", source))
    edges = {(a, label): b for a, b, label in re.findall(r'(s\d+) -> (s\d+) \[label="(.)"\]', source)}
    for text in ("", "ab", "c", "abcd", "d", "a", "dd", "abca", "ba", "cccab"):
        state = "s0"
        for character in text:
            state = edges.get((state, character), "")
        assert (state in final) == bool(re.fullmatch(pattern, text))


def test_quotes_are_escaped_in_labels():
    assert 'label="\\""' in run('regex:"', "--dot", "-").stdout
    assert 'label="\\\\"' in run("regex:\\\\", "--dot", "-").stdout


def test_too_many_states_to_draw():
    result = run('{"type": "array"}', "--dot", "-", "--max-states", "20")
    assert result.exit_code == 2
    assert "more than 20 states" in result.stderr
    assert "--max-states" in result.stderr


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_svg(tmp_path):
    target = tmp_path / "a.svg"
    result = run('regex:(ab|<&">)*', "--svg", str(target))
    assert (result.exit_code, result.stdout) == (0, "")
    root = ElementTree.parse(target).getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"a", "b", "<", "&", '"', ">"} <= texts


def test_svg_without_graphviz(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = run("regex:a", "--svg", str(tmp_path / "a.svg"))
    assert result.exit_code == 2
    assert "--dot" in result.stderr
    assert not (tmp_path / "a.svg").exists()


# -- the page ------------------------------------------------------------------------------

HOSTILE = '</script><script>document.title="taken"</script><img src=x onerror=alert(1)>&<!--'


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.data = ""
        self._in_data = False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag):
        self._in_data = False

    def handle_data(self, data):
        if self._in_data:
            self.data += data


def test_page_holds_every_step_and_nothing_hostile(tmp_path):
    target = tmp_path / "steps.html"
    text = json.dumps(HOSTILE)
    result = run(json.dumps({"const": HOSTILE}), "--html", str(target), "--text", text)
    assert result.exit_code == 0
    parser = _Elements()
    parser.feed(target.read_text())
    assert [tag for tag, _ in parser.tags].count("script") == 2
    assert not any(
        tag == "img" or "src" in attributes or "href" in attributes for tag, attributes in parser.tags
    )
    steps = json.loads(parser.data)["steps"]
    assert "".join(step["token"] for step in steps[:-1]) == text
    assert steps[-1]["token"] is None
    assert steps[-1]["may_end"]
    assert all(step["refused"] is None for step in steps[:-1])
    assert "http://" not in target.read_text().replace("http://www.w3.org", "")


def test_page_of_a_refused_text_ends_there(tmp_path):
    target = tmp_path / "steps.html"
    result = run("regex:abc", "--html", str(target), "--text", "abx")
    assert result.exit_code == 1
    parser = _Elements()
    parser.feed(target.read_text())
    steps = json.loads(parser.data)["steps"]
    assert [step["token"] for step in steps] == ["a", "b", "x"]
    assert "expected c" in steps[-1]["refused"]


def test_page_of_a_random_text(tmp_path):
    target = tmp_path / "steps.html"
    assert run(SCHEMA, "--html", str(target), vocabulary="tiny").exit_code == 0
    first = target.read_text()
    assert run(SCHEMA, "--html", str(target), "--seed", "5", vocabulary="tiny").exit_code == 0
    assert first != target.read_text()


_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(_CHROMIUM is None, reason="Chromium is not installed")
def test_page_in_a_browser(tmp_path):
    target = tmp_path / "steps.html"
    run(json.dumps({"const": HOSTILE}), "--html", str(target), "--text", json.dumps(HOSTILE))
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    )
    done = subprocess.run(
        [_CHROMIUM, *options.split(), "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{target}#3"],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    dom = done.stdout.decode()
    assert "<title>structgen: " in dom
    assert "taken</title>" not in dom
    assert "<img" not in dom
    assert re.search(r'<button type="button" class="[^"]*here[^"]*">s</button>', dom)  # "</s
    assert f"3 / {len(json.dumps(HOSTILE))}" in dom


# -- bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json"], "no such file"),
        (["regex:a("], "missing )"),
        (['{"type": "strin"}'], "must be one of"),
        (["regex:a", "--token", "#999"], "there is no token 999: the vocabulary has 257"),
        (["regex:a", "--html", "no/such/folder/page.html"], "cannot be written"),
    ],
)
def test_unusable(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_help_has_examples():
    result = CliRunner().invoke(cli, ["show", "--help"])
    assert "structgen show schema.json --html steps.html" in result.stdout
