"""What types become: nodes that write a JSON Schema and turn JSON values back into values of the type."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from structgen._types._values import Mismatch, Number, identity, integer, plain, shown

Schema = dict[str, Any]


class Spelling(Protocol):
    """What nodes need to know of the document that their schemas go into."""

    def reference(self, node: "Named") -> Schema: ...

    def foreign(self, node: Any) -> Schema: ...


class Loading:
    """One call of ``parse_output``: what unions have already tried."""

    def __init__(self) -> None:
        self.tried: dict[tuple[int, int, bool], tuple[bool, Any]] = {}


class Node(ABC):
    """A type."""

    def kinds(self) -> frozenset[str]:
        """Return which constraints the type takes: those of "number", "string", "array", "object"."""
        return frozenset()

    @abstractmethod
    def schema(self, spelling: Spelling) -> Schema:
        """Return the schema of the type."""

    @abstractmethod
    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        """Return the value of the type; ``exact`` refuses an int for a float and the like."""

    def children(self) -> Iterator["Node"]:
        """Yield the nodes whose values the values of this one are hashed with."""
        return iter(())

    hashes = True


def hashable(node: Node, seen: set[int] | None = None) -> bool:
    """Return whether every value of the type can be an element of a set."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return True
    seen.add(id(node))
    return node.hashes and all(hashable(child, seen) for child in node.children())


def _item(node: Node, step: str | int, value: Any, exact: bool, loading: Loading) -> Any:
    try:
        return node.load(value, exact, loading)
    except Mismatch as mismatch:
        raise mismatch.below(step) from None


class Anything(Node):
    """``Any`` and ``object``."""

    hashes = False

    def schema(self, spelling: Spelling) -> Schema:
        return {}

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        return plain(value)


class Scalar(Node):
    """``None``, ``bool``, ``int``, ``float``, ``Decimal`` or ``str``.

    ``convert`` gets the JSON value and whether it has to be of just this type; None is a mismatch.
    """

    def __init__(self, json_type: str, convert: Callable[[Any, bool], Any]) -> None:
        self.json_type = json_type
        self.convert = convert

    def kinds(self) -> frozenset[str]:
        kind = "number" if self.json_type == "integer" else self.json_type
        return frozenset({kind} & {"number", "string"})

    def schema(self, spelling: Spelling) -> Schema:
        return {"type": self.json_type}

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        if self.json_type == "null" and value is None:
            return None
        converted = None if value is None else self.convert(value, exact)
        if converted is None:
            article = "an" if self.json_type == "integer" else "a"
            raise Mismatch(f"{shown(value)} is not {article} {self.json_type}")
        return converted


def to_int(value: Any, exact: bool) -> int | None:
    return None if exact and isinstance(value, Number) else integer(value)


def to_float(value: Any, exact: bool) -> float | None:
    if isinstance(value, Number):
        return float(value.text)
    if exact or isinstance(value, bool) or not isinstance(value, int):
        return None
    try:
        return float(value)
    except OverflowError:  # as the same number with an exponent is read
        return float("inf") if value > 0 else float("-inf")


def to_decimal(value: Any, exact: bool) -> Any:
    from decimal import Decimal

    if isinstance(value, Number):
        return value.decimal()
    return None if exact or isinstance(value, bool) or not isinstance(value, int) else Decimal(value)


def only(type_: type) -> Callable[[Any, bool], Any]:
    """Return the conversion that takes values of ``type_`` alone."""
    return lambda value, _: value if isinstance(value, type_) else None


class Formatted(Node):
    """A type whose values are strings of a certain form."""

    def __init__(self, schema: Schema, name: str, read: Callable[[str], Any]) -> None:
        self.keywords = schema
        self.name = name
        self.read = read

    def schema(self, spelling: Spelling) -> Schema:
        return dict(self.keywords)

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        if isinstance(value, str):
            try:
                return self.read(value)
            except (ValueError, OverflowError):
                pass
        raise Mismatch(f"{shown(value)} is not a {self.name}")


class Constant(Node):
    """``Literal`` and ``Enum``: JSON values and what each of them stands for."""

    def __init__(self, values: list[tuple[Any, Any]]) -> None:
        self.values = {identity(value): (value, meaning) for value, meaning in reversed(values)}

    def schema(self, spelling: Spelling) -> Schema:
        values = [value for value, _ in reversed(self.values.values())]
        return {"const": values[0]} if len(values) == 1 else {"enum": values}

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        found = None if isinstance(value, list | dict) else self.values.get(identity(value))
        if found is None:
            allowed = ", ".join(shown(allowed) for allowed, _ in reversed(self.values.values()))
            raise Mismatch(f"{shown(value)} is none of {allowed}")
        return found[1]


class Union(Node):
    """The first branch that takes the value just as it is, else the first that takes it at all."""

    def __init__(self, branches: list[Node]) -> None:
        self.branches = branches

    def kinds(self) -> frozenset[str]:
        return frozenset().union(*(branch.kinds() for branch in self.branches))

    def schema(self, spelling: Spelling) -> Schema:
        return {"anyOf": [branch.schema(spelling) for branch in self.branches]}

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        # The memo keeps nested unions from trying everything again at every level. An entry is a mismatch
        # while it is being made: an alias that leads back to itself takes no value that way.
        key = id(self), id(value), exact
        if key not in loading.tried:
            loading.tried[key] = False, Mismatch("the union leads back to itself")
            loading.tried[key] = self._try(value, exact, loading)
        taken, result = loading.tried[key]
        if not taken:
            raise Mismatch(result.reason, result.path, result.cause)
        return result

    def _try(self, value: Any, exact: bool, loading: Loading) -> tuple[bool, Any]:
        mismatches = []
        for strictly in (True,) if exact else (True, False):
            for branch in self.branches:
                try:
                    return True, branch.load(value, strictly, loading)
                except Mismatch as mismatch:
                    mismatches.append(mismatch)
        # The branch that got furthest is the one that was meant; the reasons of the others are noise.
        nearest = max(mismatches[-len(self.branches) :], key=lambda mismatch: len(mismatch.path))
        if not nearest.path:
            nearest = Mismatch(f"{shown(value)} fits no branch of the union")
        return False, nearest

    def children(self) -> Iterator[Node]:
        return iter(self.branches)


class Array(Node):
    """Lists, sets and homogeneous tuples."""

    def kinds(self) -> frozenset[str]:
        return frozenset({"array"})

    def __init__(self, item: Node, make: Callable[[list[Any]], Any], *, unique: bool, hashes: bool) -> None:
        self.item = item
        self.make = make
        self.unique = unique
        self.hashes = hashes

    def schema(self, spelling: Spelling) -> Schema:
        schema: Schema = {"type": "array"}
        items = self.item.schema(spelling)
        if items:
            schema["items"] = items
        if self.unique:
            schema["uniqueItems"] = True
        return schema

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        if not isinstance(value, list):
            raise Mismatch(f"{shown(value)} is not an array")
        items = [_item(self.item, place, item, exact, loading) for place, item in enumerate(value)]
        if self.unique and len(set(map(identity, value))) < len(value):
            raise Mismatch("two items of the array are equal")
        return self.make(items)

    def children(self) -> Iterator[Node]:
        yield self.item


class Tuple(Node):
    """Tuples with one type per item: ``tuple[X, Y]``, ``tuple[X, *tuple[Y, ...]]``, ``NamedTuple``."""

    def __init__(
        self, make: Callable[[list[Any]], Any], items: list[Node], required: int, rest: Node | None = None
    ) -> None:
        self.make = make
        self.items = items
        self.required = required
        self.rest = rest

    def schema(self, spelling: Spelling) -> Schema:
        schema: Schema = {"type": "array"}
        if self.items:
            schema["prefixItems"] = [item.schema(spelling) for item in self.items]
        rest = self.rest.schema(spelling) if self.rest is not None else False
        if rest != {}:
            schema["items"] = rest
        if self.required:
            schema["minItems"] = self.required
        return schema

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        if not isinstance(value, list):
            raise Mismatch(f"{shown(value)} is not an array")
        if len(value) < self.required:
            raise Mismatch(f"the array has {len(value)} items, not {self.required}")
        if self.rest is None and len(value) > len(self.items):
            raise Mismatch(f"the array has {len(value)} items, {len(value) - len(self.items)} too many")
        rest = [self.rest] * (len(value) - len(self.items)) if self.rest is not None else []
        nodes = [*self.items, *rest][: len(value)]
        return self.make(
            [
                _item(node, place, item, exact, loading)
                for place, (node, item) in enumerate(zip(nodes, value, strict=True))
            ]
        )

    def children(self) -> Iterator[Node]:
        yield from self.items
        if self.rest is not None:
            yield self.rest


class Map(Node):
    """``dict[K, V]``: the key is read as a string, whatever it becomes."""

    def kinds(self) -> frozenset[str]:
        return frozenset({"object"})

    hashes = False

    def __init__(self, key: Node, value: Node) -> None:
        self.key = key
        self.value = value

    def schema(self, spelling: Spelling) -> Schema:
        keys, values = self.key.schema(spelling), self.value.schema(spelling)
        schema: Schema = {"type": "object"}
        if "enum" in keys or "const" in keys:
            names = keys["enum"] if "enum" in keys else [keys["const"]]
            return schema | {"properties": dict.fromkeys(names, values), "additionalProperties": False}
        if keys.keys() == {"type", "pattern"}:
            return schema | {"patternProperties": {keys["pattern"]: values}, "additionalProperties": False}
        if keys != {"type": "string"}:
            schema["propertyNames"] = keys
        if values:
            schema["additionalProperties"] = values
        return schema

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(f"{shown(value)} is not an object")
        return {
            _item(self.key, key, key, exact, loading): _item(self.value, key, item, exact, loading)
            for key, item in value.items()
        }


class Object(Node):
    """Dataclasses, ``TypedDict`` and the parameters of functions: closed objects of known keys."""

    def __init__(self, make: Callable[..., Any], *, hashes: bool = False) -> None:
        self.make = make
        self.hashes = hashes
        self.fields: dict[str, Node] = {}
        self.descriptions: dict[str, str] = {}
        self.required: list[str] = []
        self.rest: Node | None = None

    def schema(self, spelling: Spelling) -> Schema:
        properties = {}
        for name, node in self.fields.items():
            properties[name] = node.schema(spelling)
            if name in self.descriptions:
                properties[name]["description"] = self.descriptions[name]
        schema: Schema = {"type": "object", "properties": properties}
        if self.required:
            schema["required"] = list(self.required)
        rest = self.rest.schema(spelling) if self.rest is not None else False
        if rest != {}:
            schema["additionalProperties"] = rest
        return schema

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(f"{shown(value)} is not an object")
        for name in self.required:
            if name not in value:
                raise Mismatch(f"the key {name!r} is missing")
        loaded = {}
        for name, item in value.items():
            node = self.fields.get(name, self.rest)
            if node is None:
                raise Mismatch(f"the key {name!r} is unknown")
            loaded[name] = _item(node, name, item, exact, loading)
        try:
            return self.make(**loaded)
        except ValueError as error:  # of the class's own checks
            raise Mismatch(str(error), cause=error) from None

    def children(self) -> Iterator[Node]:
        return iter(self.fields.values())


class Named(Node):
    """A class or an alias: a definition of its own, so that types can refer to each other and themselves."""

    target: Node

    def __init__(self, name: str) -> None:
        self.name = name

    def kinds(self) -> frozenset[str]:
        # What an alias names is not known while the alias itself is being built.
        return self.target.kinds() if "target" in self.__dict__ else frozenset()

    def schema(self, spelling: Spelling) -> Schema:
        return spelling.reference(self)

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        return self.target.load(value, exact, loading)

    def children(self) -> Iterator[Node]:
        yield self.target


class Constrained(Node):
    """``Annotated`` with constraints: keywords beside those of the type, and checks of the JSON value."""

    def __init__(self, node: Node, keywords: Mapping[str, Any], checks: list[Callable[[Any], bool]]) -> None:
        self.node = node
        self.keywords = keywords
        self.checks = checks

    def kinds(self) -> frozenset[str]:
        return self.node.kinds()

    def schema(self, spelling: Spelling) -> Schema:
        inner = self.node.schema(spelling)
        # Two bounds of one kind both hold: the outer annotation does not replace the inner one.
        if inner.keys() & self.keywords.keys() - {"description"}:
            return {"allOf": [inner, dict(self.keywords)]}
        return {**inner, **self.keywords}

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        loaded = self.node.load(value, exact, loading)
        for check in self.checks:
            if not check(value):
                raise Mismatch(f"{shown(value)} violates {dict(self.keywords)!r}")
        return loaded

    def children(self) -> Iterator[Node]:
        yield self.node
