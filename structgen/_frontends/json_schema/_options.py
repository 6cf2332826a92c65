"""The options of the JSON Schema front end: which spellings of a value the language holds."""

from typing import Any, Literal

Draft = Literal["4", "6", "7", "2019-09", "2020-12"]

DRAFTS: tuple[Draft, ...] = ("4", "6", "7", "2019-09", "2020-12")

# A run of JSON white space is at most this long when whitespace="flexible": without a bound a model can
# emit newlines until its token limit.
WHITESPACE_LIMIT = 64

# numbers="all": in a number with bounds, an enum or the type integer, exponents reach from -20 to 20.
EXPONENT_LIMIT = 20

# The core counts residues below this modulus. Of a multipleOf without its powers of ten, the power of two or
# five and the rest are each a modulus.
MODULUS_LIMIT = 2**60

# Bounds and enumerated numbers may need this many decimal digits when written without an exponent.
DIGIT_LIMIT = 1100

# Counts from here on are no bound at all: a text that long has two gigabytes.
COUNT_LIMIT = 2**31 - 1


class Options:
    """Validated options of :func:`structgen.compile_json_schema`."""

    __slots__ = (
        "all_escapes",
        "all_numbers",
        "assert_formats",
        "distinct_keys",
        "draft",
        "max_branches",
        "max_compile_seconds",
        "max_schema_nodes",
        "nullable",
        "ordered",
        "registry",
        "whitespace",
    )

    def __init__(
        self,
        *,
        whitespace: str = "flexible",
        property_order: str = "schema",
        escapes: str = "minimal",
        numbers: str = "plain",
        duplicate_keys: str = "undeclared",
        formats: str = "assert",
        nullable: bool = False,
        draft: str | None = None,
        registry: Any = None,
        max_schema_nodes: int = 1_000_000,
        max_branches: int = 4096,
        max_compile_seconds: float = 60.0,
    ) -> None:
        if not isinstance(whitespace, str):
            raise TypeError(f"whitespace must be a str, not {type(whitespace).__name__}")
        self.whitespace = whitespace
        self.ordered = _one_of("property_order", property_order, "schema", "any") == "schema"
        self.all_escapes = _one_of("escapes", escapes, "minimal", "all") == "all"
        self.all_numbers = _one_of("numbers", numbers, "plain", "all") == "all"
        self.distinct_keys = _one_of("duplicate_keys", duplicate_keys, "undeclared", "forbid") == "forbid"
        self.assert_formats = _one_of("formats", formats, "assert", "annotate") == "assert"
        if not isinstance(nullable, bool):
            raise TypeError(f"nullable must be a bool, not {type(nullable).__name__}")
        self.nullable = nullable
        self.registry = _registry(registry)
        self.draft = None if draft is None else _one_of("draft", draft, *DRAFTS)
        self.max_schema_nodes = max_schema_nodes
        self.max_branches = max_branches
        self.max_compile_seconds = max_compile_seconds


def _registry(value: Any) -> Any:
    if value is not None:
        # Imported late: most schemas need no other document.
        from referencing import Registry

        if not isinstance(value, Registry):
            raise TypeError(f"registry must be a referencing.Registry, not {type(value).__name__}")
    return value


def _one_of(name: str, value: str, *allowed: str) -> str:
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name} must be one of {choices}, not {value!r}")
    return value
