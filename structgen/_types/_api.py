"""The public functions: a type as a schema, and the output of a model back as its value."""

import functools
import re
from typing import Any

from structgen._compile import compile_json_schema
from structgen._core import TokenAutomaton
from structgen._types._build import Builder, name_of
from structgen._types._nodes import Loading, Named, Node, Schema
from structgen._types._pydantic import Foreign, schemas_of
from structgen._types._values import Mismatch, read
from structgen._vocabulary import Vocabulary


class _Document:
    """One JSON Schema: the definitions that the nodes of a type share."""

    def __init__(self, foreign: list[Foreign]) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[int, str] = {}
        self._foreign: dict[int, Schema] = {}
        if foreign:
            schemas, self.definitions = schemas_of(foreign)
            self._foreign = {id(node): schema for node, schema in zip(foreign, schemas, strict=True)}

    def foreign(self, node: Foreign) -> Schema:
        return dict(self._foreign[id(node)])

    def reference(self, node: Named) -> Schema:
        if isinstance(node.target, Foreign):  # Pydantic has a definition of its own for it
            return self.foreign(node.target)
        if id(node) not in self._names:
            name = self._names[id(node)] = self._free(re.sub(r"[^A-Za-z0-9_.-]+", "_", node.name).strip("_"))
            self.definitions[name] = {}  # taken while it is made
            self.definitions[name] = node.target.schema(self)
        return {"$ref": f"#/$defs/{self._names[id(node)]}"}

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self.definitions:
            number += 1
            free = f"{name}_{number}"
        return free

    def of(self, root: Node) -> Schema:
        schema = root.schema(self)
        name = schema.get("$ref", "").removeprefix("#/$defs/")
        if len(schema) == 1 and name in self.definitions and not _refers(self.definitions, f"#/$defs/{name}"):
            schema = self.definitions.pop(name)
        if self.definitions:
            schema = schema | {"$defs": self.definitions}
        return schema


def _refers(schema: Any, reference: str) -> bool:
    if isinstance(schema, dict):
        return schema.get("$ref") == reference or any(_refers(value, reference) for value in schema.values())
    return isinstance(schema, list) and any(_refers(item, reference) for item in schema)


class _Plan:
    """A type, read once."""

    def __init__(self, type_: Any) -> None:
        builder = Builder()
        try:
            self.root = builder.build(type_, name_of(type_))
            builder.check()
        except RecursionError:
            raise TypeError(f"{name_of(type_)}: the type nests too deeply") from None
        self.foreign = builder.foreign


@functools.lru_cache(maxsize=128)
def _cached_plan(type_: Any, spelling: str) -> _Plan:
    return _Plan(type_)


def _plan(type_: Any) -> _Plan:
    # Unions that list their branches in another order are equal, hence the spelling.
    try:
        return _cached_plan(type_, repr(type_))
    except TypeError:
        return _Plan(type_)  # unhashable, or unsupported: says so


def schema_of(type_: Any) -> dict[str, Any]:
    """Return the JSON Schema of a Python type.

    Parameters
    ----------
    type_ : type or type hint
        A Pydantic model, dataclass, ``TypedDict``, ``NamedTuple``, ``Enum``, ``Literal``, union, container or
        scalar type, ``Annotated`` with the constraints of :mod:`annotated_types` or a compiled :mod:`re`
        pattern (for the whole text), ``NewType``, ``type`` alias, or function (an object of its parameters).
        ``docs/types.md`` lists what becomes what.

    Returns
    -------
    dict
        A schema of draft 2020-12, made anew by each call. Objects of classes and functions are closed: they
        have no keys but those declared.

    Raises
    ------
    TypeError
        A type without a JSON Schema, with the place in the type (``Order.items[].price``) and what to do.
    """
    plan = _plan(type_)
    return _Document(plan.foreign).of(plan.root)


def compile_type(type_: Any, vocabulary: Vocabulary, **options: Any) -> TokenAutomaton:
    """Compile a Python type: the output is a JSON text that :func:`parse_output` makes a value of the type.

    Parameters
    ----------
    type_ : type or type hint
        The type, see :func:`schema_of`.
    vocabulary : Vocabulary
        The tokens of the model.
    **options
        Options of :func:`compile_json_schema`, except ``draft``.

    Returns
    -------
    TokenAutomaton
        The automaton over the tokens of ``vocabulary``.

    Raises
    ------
    TypeError
        A type without a JSON Schema.
    SchemaError, UnsatisfiableSchemaError, LimitError
        As :func:`compile_json_schema`, which gets :func:`schema_of` of the type.
    """
    return compile_json_schema(schema_of(type_), vocabulary, draft="2020-12", **options)


def parse_output(text: str, type_: Any) -> Any:
    """Parse a finished output into a value of its type.

    Parameters
    ----------
    text : str
        A JSON text, such as an automaton of :func:`compile_type` lets through.
    type_ : type or type hint
        The type, see :func:`schema_of`.

    Returns
    -------
    Any
        The value. Of a union: of the first branch that takes the value just as it is, else of the first that
        takes it at all (an integer for a ``float``). For a function: a dict of arguments, for
        ``function(**arguments)``.

    Raises
    ------
    ValueError
        The text is no JSON, or its value is not one of the type; with the JSON Pointer of the culprit. Where
        the type itself is Pydantic's, this is a ``pydantic.ValidationError``.
    TypeError
        A type without a JSON Schema.
    """
    value = read(text)
    try:
        return _plan(type_).root.load(value, False, Loading())
    except Mismatch as mismatch:
        error = mismatch.error()
    except RecursionError:
        error = ValueError("the text nests too deeply to be read")
    raise error
