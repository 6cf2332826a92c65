"""A schema of draft 2020-12, rewritten for an older draft."""

import json
from typing import Any, Literal

Draft = Literal["4", "6", "7", "2019-09", "2020-12"]

_ORDER: tuple[Draft, ...] = ("4", "6", "7", "2019-09", "2020-12")
_SCHEMA = (
    "additionalItems additionalProperties contains else if items not propertyNames then unevaluatedItems "
    "unevaluatedProperties"
).split()
_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED_SCHEMAS = ("$defs", "dependentSchemas", "patternProperties", "properties")
# The first draft that has a keyword; an older one would ignore it.
_SINCE: dict[str, Draft] = {
    "contains": "6",
    "propertyNames": "6",
    "if": "7",
    "then": "7",
    "else": "7",
    "minContains": "2019-09",
    "maxContains": "2019-09",
    "unevaluatedItems": "2019-09",
    "unevaluatedProperties": "2019-09",
}


def as_draft(schema: Any, draft: Draft) -> Any:
    """Rewrite a schema of draft 2020-12, with the same meaning where the draft can say it.

    Keywords that the draft lacks are renamed, or left out where there is no other word for them.
    """
    if draft == "2020-12":
        return schema
    if isinstance(schema, bool):
        return schema if draft != "4" else {} if schema else {"not": {}}
    result = {}
    for keyword, value in schema.items():
        if _ORDER.index(draft) < _ORDER.index(_SINCE.get(keyword, "4")):
            continue
        if keyword in _SCHEMA:
            value = as_draft(value, draft)
        elif keyword in _SCHEMAS:
            value = [as_draft(branch, draft) for branch in value]
        elif keyword in _NAMED_SCHEMAS:
            value = {name: as_draft(child, draft) for name, child in value.items()}
        result[keyword] = value
    if "prefixItems" in result:
        if "items" in result:
            result["additionalItems"] = result.pop("items")
        result["items"] = result.pop("prefixItems")
    if draft == "2019-09":
        return _recursive(result)
    _before_2019(result)
    if draft == "4":
        _before_6(result)
    return result


def _recursive(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.pop("$dynamicAnchor", None):
        schema["$recursiveAnchor"] = True
    if schema.pop("$dynamicRef", None):
        schema["$recursiveRef"] = "#"
    return schema


def _before_2019(schema: dict[str, Any]) -> None:
    schema.pop("$dynamicAnchor", None)
    if schema.pop("$dynamicRef", None):
        schema["$ref"] = "#"
    if "$ref" in schema:
        schema["$ref"] = schema["$ref"].replace("#/$defs/", "#/definitions/")
    if "$defs" in schema:
        schema["definitions"] = schema.pop("$defs")
    dependencies = schema.pop("dependentSchemas", {})
    for key, keys in schema.pop("dependentRequired", {}).items():
        dependencies[key] = (
            {"allOf": [dependencies[key], {"required": keys}]} if key in dependencies else keys
        )
    if dependencies:
        schema["dependencies"] = dependencies


def _before_6(schema: dict[str, Any]) -> None:
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in schema:
            schema |= {bound: schema[exclusive], exclusive: True}
    for count in ("minItems", "maxItems"):
        if count in schema:
            schema[count] = int(schema[count])
    if "enum" in schema:
        schema["enum"] = list({json.dumps(value, sort_keys=True): value for value in schema["enum"]}.values())
    # Lists of keys must not be empty.
    if schema.get("required") == []:
        del schema["required"]
    if "dependencies" in schema:
        schema["dependencies"] = {key: rest for key, rest in schema["dependencies"].items() if rest != []}
