"""Pydantic types: their schema and their validation are Pydantic's own."""

from typing import Any

from structgen._types._nodes import Loading, Node, Schema, Spelling
from structgen._types._values import Mismatch, write


def is_pydantic(hint: Any) -> bool:
    """Return whether a class brings its own Pydantic schema: a model, a Pydantic dataclass or type."""
    return isinstance(hint, type) and (
        "__pydantic_core_schema__" in hint.__dict__ or hasattr(hint, "__get_pydantic_core_schema__")
    )


def is_pydantic_metadata(item: Any) -> bool:
    """Return whether an argument of ``Annotated`` is Pydantic's."""
    module = (item if isinstance(item, type) else type(item)).__module__
    return module.partition(".")[0] == "pydantic" or hasattr(item, "__get_pydantic_core_schema__")


class Foreign(Node):
    """A type that Pydantic validates."""

    def __init__(self, hint: Any, path: str) -> None:
        from pydantic import PydanticSchemaGenerationError, TypeAdapter

        try:
            self.adapter: Any = TypeAdapter(hint)
        except PydanticSchemaGenerationError as error:
            raise TypeError(f"{path}: {error}") from None
        self.path = path
        # A model without a hash is refused in a set; of other types only Pydantic knows.
        self.hashes = not isinstance(hint, type) or hint.__hash__ is not None

    def schema(self, spelling: Spelling) -> Schema:
        return spelling.foreign(self)

    def load(self, value: Any, exact: bool, loading: Loading) -> Any:
        from pydantic import ValidationError

        try:
            return self.adapter.validate_json(write(value), strict=True if exact else None)
        except ValidationError as error:
            raise Mismatch(str(error), cause=error) from None


def schemas_of(nodes: list[Foreign]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the schema of each node, and the definitions that they share.

    Raises
    ------
    TypeError
        A type has no JSON Schema.
    """
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        """Objects closed unless ``extra="allow"``, as Pydantic drops other keys; ``anyOf`` for ``oneOf``."""

        def model_schema(self, schema: Any) -> Schema:
            return _closed(super().model_schema(schema), root=schema.get("root_model", False))

        def dataclass_schema(self, schema: Any) -> Schema:
            return _closed(super().dataclass_schema(schema))

        def typed_dict_schema(self, schema: Any) -> Schema:
            return _closed(super().typed_dict_schema(schema))

        def tagged_union_schema(self, schema: Any) -> Schema:
            # The tag tells the branches apart, so that at most one of them holds where it is required.
            written = super().tagged_union_schema(schema)
            written["anyOf"] = written.pop("oneOf")
            tag = written.pop("discriminator", {}).get("propertyName")
            return written | ({"required": [tag]} if tag is not None else {})

    inputs: list[Any] = [(number, "validation", node.adapter) for number, node in enumerate(nodes)]
    try:
        schemas, shared = TypeAdapter.json_schemas(inputs, schema_generator=Generator)
    except PydanticInvalidForJsonSchema as error:
        raise TypeError(f"{', '.join(node.path for node in nodes)}: {error.message}") from None
    return [schemas[number, "validation"] for number in range(len(nodes))], shared.get("$defs", {})


def _closed(schema: Schema, *, root: bool = False) -> Schema:
    if schema.get("type") == "object" and not root:
        schema.setdefault("additionalProperties", False)
    return schema
