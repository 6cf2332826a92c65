"""Python types as schemas: what a type becomes, and the way back."""

from structgen._types._api import compile_type, parse_output, schema_of

__all__ = ["compile_type", "parse_output", "schema_of"]
