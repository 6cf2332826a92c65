"""Formats, against validators of their RFCs, an ECMA-262 engine and arithmetic."""

import calendar
import functools
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import idna
import jsonschema
import pytest
import regress
from hypothesis import assume, example, given
from hypothesis import strategies as st

import structgen
from structgen._formats import BUILT_IN_FORMATS
from structgen._frontends.json_schema import _idna_tables
from structgen._frontends.json_schema._formats import format_of
from structgen._frontends.json_schema._idna import is_u_label
from structgen._frontends.regex import is_valid_ecma
from structgen._frontends.regex._ecma_syntax import BINARY_PROPERTIES, GENERAL_CATEGORIES, SCRIPTS
from tests.json_schema.format_examples import EXAMPLES
from tests.json_schema.support import small_vocabulary
from tests.regex.oracles import modern_regress

CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER


@functools.cache
def _compiled(name: str) -> tuple[Any, Any, int | None]:
    builder = structgen._core.Builder(small_vocabulary().native)
    found = format_of(name)
    assert found is not None
    return found, builder, found.regex(builder)


def conforms(name: str, text: str) -> bool:
    """Our verdict: the regex, and the predicate where there is one."""
    found, builder, regex = _compiled(name)
    matches = regex is None or builder.re_matches(regex, text)
    return matches and (found.predicate is None or found.predicate(text))


def test_the_table_has_every_format() -> None:
    assert set(EXAMPLES) == BUILT_IN_FORMATS


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_table(name: str) -> None:
    accepted, rejected = EXAMPLES[name]
    assert [text for text in accepted if not conforms(name, text)] == []
    assert [text for text in rejected if conforms(name, text)] == []


@pytest.mark.parametrize("name", ["int32", "color", "", "Date", "unknown"])
def test_unknown_formats_assert_nothing(name: str) -> None:
    assert format_of(name) is None


def test_only_three_formats_need_a_predicate() -> None:
    assert {name for name in BUILT_IN_FORMATS if _compiled(name)[0].predicate is not None} == {
        "hostname",
        "idn-hostname",
        "regex",
    }


# -- exhaustively, against arithmetic -------------------------------------------------------


def test_dates_of_all_years() -> None:
    for year in range(10_000):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert conforms("date", f"{year:04}-02-29") is leap
    for month in range(14):
        for day in range(33):
            valid = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(2023, month)[1]
            assert conforms("date", f"2023-{month:02}-{day:02}") is valid


def test_leap_seconds_of_all_minutes() -> None:
    for offset in (*range(0, 1440, 7), 59, 60, 1439):
        hours, minutes = divmod(offset, 60)
        for sign in (1, -1):
            due = (1439 + sign * offset) % 1440
            for local in {due, (due + 1) % 1440, (due + 60) % 1440, (due - 600) % 1440}:
                text = f"{local // 60:02}:{local % 60:02}:60{'+' if sign > 0 else '-'}{hours:02}:{minutes:02}"
                assert conforms("time", text) is (local == due)


# -- strings near valid ones, against validators ---------------------------------------------


def _edited(seeds: list[str], alphabet: str) -> st.SearchStrategy[str]:
    """Valid strings and up to three edits of them."""
    edit = st.tuples(st.integers(0, 80), st.integers(0, 2), st.sampled_from(alphabet))

    def apply(seed: str, edits: list[tuple[int, int, str]]) -> str:
        for place, kind, character in edits:
            at = place % (len(seed) + 1)
            seed = seed[:at] + (character if kind else "") + seed[at + (kind != 1) :]
        return seed

    return st.builds(apply, st.sampled_from(seeds), st.lists(edit, max_size=3))


def _seeds(name: str) -> list[str]:
    accepted, rejected = EXAMPLES[name]
    return accepted + [text for text in rejected if len(text) < 60]


# Where the checkers of jsonschema are known to be wrong; each entry holds for the strings it describes.
# Those of email, idn-email (any "@"), uri-template (any literal, few operators) and regex (Python's syntax)
# are no oracles.
DISAGREEMENTS: dict[str, Callable[[str], bool]] = {
    # Python's calendar begins with the year 1, RFC 3339's grammar with 0000.
    "date": lambda text: text.startswith("0000"),
    # The checkers know no leap seconds; they take a line feed at the end.
    "date-time": lambda text: ":60" in text or text.startswith("0000") or not text.isascii() or "\n" in text,
    "time": lambda text: ":60" in text or not text.isascii() or "\n" in text,
    # No A-labels are looked into, dotted decimals pass, and so does a dot at the end.
    "hostname": lambda text: "xn--" in text.lower() or text.endswith(".") or text.replace(".", "").isdigit(),
    # Host names of RFC 1123 count too (reserved labels); a dot at the end passes; directions go by label.
    "idn-hostname": lambda text: (
        "--" in text
        or text[-1:] in tuple(".。．｡")
        or text.replace(".", "").isdigit()
        or _mixes_directions(text)
    ),
    # Bidirectional formatting characters are in the grammar, and excluded by section 4.1; the checker lacks
    # private use planes.
    "iri": lambda text: any("\u200e" <= c <= "\u202e" or c > "\U000effff" for c in text),
    "iri-reference": lambda text: any("\u200e" <= c <= "\u202e" or c > "\U000effff" for c in text),
    # The checker takes fractions, signs, and years and days without months.
    "duration": lambda text: not conforms("duration", text),
    # The checker drops braces, hyphens and "urn:" wherever they are.
    "uuid": lambda text: len(text) != 36 or text[0] == "{" or text[-1] in "}-",
    # The checker takes no zero before another digit, not even in 100.
    "relative-json-pointer": lambda text: re.match("[1-9][0-9]*0[0-9]", text) is not None,
}


def _mixes_directions(text: str) -> bool:
    return any("\u0590" <= c <= "\u08ff" for c in text)


ALPHABETS = {
    "date": "0123456789-/T ",
    "date-time": "0123456789-:.+TtZz ",
    "time": "0123456789-:.+Zz ",
    "hostname": "abzAZ019-._é ",
    "idn-hostname": "abzA019-.。ü·lαא\u0301実ー",
    "ipv4": "0123456789. ",
    "ipv6": "0123456789abfF:.g%",
    "uri": "abz019:/?#[]@%!$'*+-._~\\ \"",
    "uri-reference": "abz019:/?#[]@%!$'*+-._~\\ \"",
    "iri": "abz019:/?#[]@%!$'*+-._~é\ue000\\ \"",
    "iri-reference": "abz019:/?#[]@%!$'*+-._~é\ue000\\ \"",
    "duration": "PTYMWDHS0129.-",
    "relative-json-pointer": "019/#~-+a",
    "uuid": "0123456789abcdefABCDEFg-",
    "json-pointer": "/~01a#é",
}


@pytest.mark.parametrize("name", sorted(ALPHABETS))
def test_verdicts_agree_with_jsonschema(name: str) -> None:
    disagrees = DISAGREEMENTS.get(name, lambda text: False)
    verdicts = set()

    @given(_edited(_seeds(name), ALPHABETS[name]))
    def agree(text: str) -> None:
        if not disagrees(text):
            ours = conforms(name, text)
            verdicts.add(ours)
            assert ours == CHECKER.conforms(text, name)

    agree()
    assert True in verdicts


@modern_regress
@given(_edited(_seeds("regex"), "()[]{}?*+|\\<>=!:,019abdkpuxz-^$.\u00e9"))
@example("(?<a>b)|(?<a>c)")
def test_syntax_of_patterns_agrees_with_an_engine(text: str) -> None:
    # regress has no mode without Annex B, so that this compares Unicode mode; it lets quantifiers follow \b.
    assume("\\b" not in text and "\\B" not in text)
    if _accepted_by_regress(text):
        assert is_valid_ecma(text)
        assert conforms("regex", text)
    elif is_valid_ecma(text):
        assert any(not c.isalnum() for c in _escaped(text))  # an identity escape outside Unicode mode


def _accepted_by_regress(text: str) -> bool:
    try:
        regress.Regex(text, "u")
    except regress.RegressError:
        return False
    return True


def _escaped(text: str) -> Iterator[str]:
    return (b for a, b in itertools.pairwise(text) if a == "\\")


@given(_edited(_seeds("regex"), "()[]{}?*+|\\<>=!:,019abdkpuxz-^$."))
def test_the_regex_of_patterns_holds_every_valid_one(text: str) -> None:
    _, builder, regex = _compiled("regex")
    assert builder.re_matches(regex, text) or not is_valid_ecma(text)


@modern_regress
def test_property_names_agree_with_an_engine() -> None:
    valid = [*BINARY_PROPERTIES, *GENERAL_CATEGORIES, *(f"gc={name}" for name in GENERAL_CATEGORIES)]
    valid += [f"{prefix}={name}" for prefix in ("sc", "Script_Extensions") for name in SCRIPTS]
    for name in valid:
        assert conforms("regex", f"\\p{{{name}}}")
        assert _accepted_by_regress(f"\\p{{{name}}}"), name
    for name in ("Greek", "sc=L", "gc=Greek", "Alphabetic=Y", "L=L", "", "alphabetic"):
        assert not conforms("regex", f"\\p{{{name}}}")
        assert not _accepted_by_regress(f"\\p{{{name}}}"), name


# -- IDNA2008 ------------------------------------------------------------------------------


def test_allowed_characters_are_those_of_idna() -> None:
    for point in range(0x110000):
        if chr(point).isascii() or not _known(chr(point)):
            continue
        classes = idna.idnadata.codepoint_classes
        theirs = any(
            idna.intranges.intranges_contain(point, classes[kind])
            for kind in ("PVALID", "CONTEXTJ", "CONTEXTO")
        )
        assert _idna_tables._charset.contains(_idna_tables.tables().allowed, point) is theirs, hex(point)


def _known(character: str) -> bool:
    return idna.core.unicodedata.category(character) not in ("Cn", "Cs")


LABEL_CHARACTERS = "al1-ü·α͵βאב׳״ابي٠۰・カ亜\u0301\u094d\u0915\u0937\u200c\u200d\u302eA"


@given(st.text(LABEL_CHARACTERS, min_size=1, max_size=6))
@example("\u0628\u064a\u200c\u0628\u064a")
@example("\u0915\u094d\u200c\u0937x\u200cy")
def test_labels_agree_with_idna(label: str) -> None:
    assume(not label.isascii())
    try:
        encoded = idna.alabel(label).decode()
    except idna.IDNAError:
        assert not is_u_label(label)
        return
    assert is_u_label(label)
    assert conforms("hostname", encoded)
    assert conforms("idn-hostname", label)


@given(st.from_regex(r"[Xx][Nn]--[a-z0-9\-]{1,12}", fullmatch=True))
@example("xn--zca29lwxobi7a")
@example("xn--example-")
@example("xn---9uc")
def test_a_labels_agree_with_idna(label: str) -> None:
    try:
        idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        assert not conforms("hostname", label)
    else:
        assert conforms("hostname", label)


# -- formats of the user --------------------------------------------------------------------


@pytest.fixture
def registered() -> Iterator[None]:
    """Formats that a test registers as "mine" or in place of "ipv4", forgotten after it."""
    yield
    for name in ("mine", "ipv4"):
        try:
            structgen.unregister_format(name)
        except ValueError:
            continue


@pytest.mark.usefixtures("registered")
def test_a_registered_format_is_looked_up() -> None:
    structgen.register_format("mine", pattern="a+|b", predicate=lambda text: len(text) < 4)
    found = format_of("mine")
    assert found is not None
    assert found.predicate is not None
    builder = structgen._core.Builder(small_vocabulary().native)
    regex = found.regex(builder)
    assert regex is not None
    assert [text for text in ("", "a", "aaaaa", "b", "ab") if builder.re_matches(regex, text)] == [
        "a",
        "aaaaa",
        "b",
    ]
    assert [found.predicate(text) for text in ("a", "aaaaa")] == [True, False]
    structgen.unregister_format("mine")
    assert format_of("mine") is None


@pytest.mark.usefixtures("registered")
def test_a_predicate_alone_has_no_regex() -> None:
    structgen.register_format("mine", predicate=str.isupper)
    found = format_of("mine")
    assert found is not None
    assert found.regex(structgen._core.Builder(small_vocabulary().native)) is None


@pytest.mark.usefixtures("registered")
def test_replacing() -> None:
    built_in = format_of("ipv4")
    with pytest.raises(ValueError, match="'ipv4' exists; pass replace=True"):
        structgen.register_format("ipv4", pattern="x")
    structgen.register_format("ipv4", pattern="x", replace=True)
    assert format_of("ipv4") != built_in
    structgen.unregister_format("ipv4")
    assert format_of("ipv4") == built_in
    structgen.register_format("mine", pattern="x")
    with pytest.raises(ValueError, match="'mine' exists"):
        structgen.register_format("mine", pattern="y")
    with pytest.raises(ValueError, match="no format 'other' is registered"):
        structgen.unregister_format("other")


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "needs a pattern or a predicate"),
        ({"pattern": 1}, TypeError, "must be a string, not int"),
        ({"predicate": "x"}, TypeError, "must be callable, not str"),
        ({"pattern": "("}, structgen.RegexError, "never closed"),
        ({"pattern": "(a)\\1"}, structgen.RegexError, "not regular"),
    ],
)
def test_errors_of_registration(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        structgen.register_format("mine", **options)
    assert format_of("mine") is None


def test_the_name_is_a_string() -> None:
    with pytest.raises(TypeError, match="must be a string, not NoneType"):
        structgen.register_format(None, pattern="x")  # type: ignore[arg-type]


@pytest.mark.usefixtures("registered")
def test_one_of_many_threads_registers() -> None:
    refused = []

    def register() -> None:
        try:
            structgen.register_format("mine", pattern="x")
        except ValueError:
            refused.append(1)

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
