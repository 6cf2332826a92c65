"""The public surface, pinned."""

import subprocess
import sys

import pytest

import structgen

PUBLIC = [
    "AllParticlesDeadError",
    "AutomatonCache",
    "BudgetError",
    "DEAD",
    "Event",
    "Explanation",
    "FINISHED",
    "FreezeError",
    "GrammarError",
    "GuardDeadEnd",
    "LimitError",
    "NothingSatisfiesError",
    "PotentialError",
    "RegexError",
    "SamplingError",
    "SchemaError",
    "Session",
    "StructgenError",
    "TokenAutomaton",
    "UnsatisfiableSchemaError",
    "VerifiedDraft",
    "Vocabulary",
    "VocabularyError",
    "__version__",
    "compile_gbnf",
    "compile_json_schema",
    "compile_lark",
    "compile_regex",
    "compile_type",
    "explain",
    "generate",
    "load_grammar",
    "parse_output",
    "random_texts",
    "register_format",
    "schema_of",
    "tool_calls",
    "unregister_format",
    "verify_draft",
]


def test_all_is_pinned_and_sorted() -> None:
    # The order of __all__ is the linter's.
    assert sorted(structgen.__all__) == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(structgen, name) is not None
    assert name in dir(structgen)


def test_no_other_name_is_public() -> None:
    # Bound here once something imports them.
    subpackages = {"cli", "frozen", "hf", "integrations", "kernels", "samplers", "testing"}
    names = {name for name in vars(structgen) if not name.startswith("_")}
    assert names - subpackages <= set(PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'compile_grammar'"):
        structgen.compile_grammar  # noqa: B018


def test_import_is_light() -> None:
    heavy = {
        "torch",
        "transformers",
        "jsonschema",
        "lark",
        "interegular",
        "hypothesis",
        "pydantic",
        "dataclasses",
        "json",
        "pathlib",
        "difflib",
    }
    program = f"import sys, structgen; print(sorted({heavy!r} & set(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"
