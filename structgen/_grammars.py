"""The grammars that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structgen._errors import GrammarError

if TYPE_CHECKING:
    from pathlib import Path


def grammar_file(name: str) -> Path:
    """Return the file of a grammar of the package.

    Raises
    ------
    GrammarError
        There is none of that name.
    """
    # Imported by the first use, as these make the import of structgen longer.
    from pathlib import Path

    # Installed, they lie inside the package; in the source tree, beside it.
    here = Path(__file__).parent
    folders = (here.parent / "grammars", here / "grammars")
    files = {file.stem: file for folder in folders for file in sorted(folder.glob("*.lark"))}
    if name not in files:
        import difflib

        near = difflib.get_close_matches(name, files, n=1)
        raise GrammarError(
            f"there is no grammar {name!r} in the package",
            name=f"grammars:{name}",
            expected=sorted(files),
            hint=f"did you mean {near[0]!r}?" if near else None,
        )
    return files[name]


def load_grammar(name: str) -> str:
    """Return the text of a grammar that comes with the package.

    ``compile_lark("grammars:NAME", ...)`` compiles it as it is; its text is for grammars that extend it. The
    comment at its top says which language and version it covers, its start rule and its limits.

    Parameters
    ----------
    name : str
        Its name, such as ``"json"``.

    Returns
    -------
    str
        A Lark grammar.

    Raises
    ------
    GrammarError
        There is none of that name; the message lists those there are.
    """
    return grammar_file(name).read_text(encoding="utf-8")
