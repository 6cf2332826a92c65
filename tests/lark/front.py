"""Loading grammars as ``compile_lark`` does, without compiling them."""

from typing import Any

from structgen._frontends.lark import Loaded, load_text, options_of_text


def load(
    text: str,
    start: Any = None,
    *,
    parser: str | None = None,
    lexer: str | None = None,
    postlex: Any = None,
    g_regex_flags: int = 0,
    import_paths: Any = (),
    strict: bool = False,
    name: str | None = None,
) -> Loaded:
    """Load the text of a grammar."""
    options = options_of_text(start, parser, lexer, postlex, g_regex_flags, import_paths, strict)
    return load_text(name, text, options)
