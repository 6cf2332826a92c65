"""What of a schema is enforced, and how: known before anything is served."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Entry", "Explanation", "explain"]

Status = Literal["exact", "guarded", "annotation", "refused"]

_STATUSES: tuple[Status, ...] = ("refused", "guarded", "annotation", "exact")

_LIMITS = ("max_regex_nodes", "max_emptiness_steps")
_IGNORED = ("max_states", "mask_cache_bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """How one keyword of one schema is enforced.

    Attributes
    ----------
    pointer : str
        JSON Pointer of the schema that has the keyword; ``""`` is the whole document. In another document
        it is the fragment of that document's URI.
    keyword : str or None
        The keyword; None where the schema as a whole is meant.
    status : {"exact", "guarded", "annotation", "refused"}
        ``"exact"``: the automaton allows exactly what the keyword allows, and never runs into a dead end.
        ``"guarded"``: exact, but checked when the value ends; a generation may run into a value that can
        only be refused (:class:`GuardDeadEnd`). ``"annotation"``: it constrains nothing here. ``"refused"``:
        the schema does not compile because of it.
    reason : str
        Why.
    suggestion : str or None
        What may have been meant, or what to write instead.
    """

    pointer: str
    keyword: str | None
    status: Status
    reason: str
    suggestion: str | None = None


class Explanation:
    """How a schema is enforced, keyword by keyword; made by :func:`explain`.

    Attributes
    ----------
    entries : tuple of Entry
        One entry for each keyword of each schema, in the order of the document. Schemas of other documents
        that references lead to come last.
    draft : str
        The draft of the document.
    narrowing : tuple of str
        Which spellings of allowed values the options leave out, wherever they occur.
    complete : bool
        Whether all refusals are listed. The search ends early when it takes too long, and at a refusal that
        cannot be left out of the schema to look for more.
    """

    def __init__(
        self, entries: tuple[Entry, ...], *, draft: str, narrowing: tuple[str, ...], complete: bool
    ) -> None:
        self.entries = entries
        self.draft = draft
        self.narrowing = narrowing
        self.complete = complete

    @property
    def refused(self) -> tuple[Entry, ...]:
        """What the schema is refused for."""
        return self._with("refused")

    @property
    def guarded(self) -> tuple[Entry, ...]:
        """What is checked when a value ends."""
        return self._with("guarded")

    @property
    def typos(self) -> tuple[Entry, ...]:
        """What constrains nothing but looks as if something else was meant."""
        return tuple(entry for entry in self._with("annotation") if entry.suggestion is not None)

    @property
    def enforceable(self) -> bool:
        """Whether the schema compiles."""
        return not self.refused

    def _with(self, status: Status) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.status == status)

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(
            {
                "draft": self.draft,
                "enforceable": self.enforceable,
                "complete": self.complete,
                "entries": [asdict(entry) for entry in self.entries],
                "narrowing": list(self.narrowing),
            }
        )

    def __repr__(self) -> str:
        return f"<Explanation of {len(self.entries)} keywords: {self._summary()}>"

    def _summary(self) -> str:
        counts = Counter(entry.status for entry in self.entries)
        parts = [f"{counts[status]} {status}" for status in _STATUSES if counts[status]]
        more = "" if self.complete else "; there may be more to refuse"
        return f"draft {self.draft}, {', '.join(parts) or 'no keywords'}{more}"

    def __str__(self) -> str:
        rows = [_cells(entry) for entry in self.entries]
        widths = [min(40, max((len(row[column]) for row in rows), default=0)) for column in range(3)]
        lines = [self._summary()]
        for *cells, reason in rows:
            aligned = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            lines.append(f"  {aligned}  {reason}")
        lines.append("Left out everywhere:")
        lines += [f"  {text}" for text in self.narrowing]
        return "\n".join(lines)

    def __rich__(self) -> Table:
        """Return a table for ``rich.print``."""
        from rich.table import Table
        from rich.text import Text

        colors = {"refused": "bold red", "guarded": "yellow", "annotation": "dim", "exact": "green"}
        caption = "Left out everywhere:\n" + "\n".join(self.narrowing)
        table = Table(
            "status", "schema", "keyword", "reason", title=Text(self._summary()), caption=Text(caption)
        )
        for entry in self.entries:
            status, *others = _cells(entry)
            table.add_row(Text(status, colors[status]), *map(Text, others))
        return table


def _cells(entry: Entry) -> list[str]:
    reason = entry.reason.partition("\n")[0]
    if entry.suggestion is not None:
        reason += f" (hint: {entry.suggestion})"
    texts = [entry.status, entry.pointer or "(root)", entry.keyword or "", reason]
    # Names come from the schema: nothing in them may break a line.
    return ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) for text in texts]


def explain(schema: dict[str, Any] | str | bytes | bool, **options: Any) -> Explanation:
    """Tell how every keyword of a JSON Schema is enforced.

    The schema is lowered just as :func:`compile_json_schema` does it, for a vocabulary of all single bytes.
    Where something is refused, it is left out and the rest is lowered again, so that all refusals are found.

    Parameters
    ----------
    schema : dict, str, bytes or bool
        The schema, or its JSON text. A Python object that is in several places is listed in the first.
    **options
        The options of :func:`compile_json_schema`; they decide what is enforced. ``max_compile_seconds`` is
        the time after which no more refusals are looked for.

    Returns
    -------
    Explanation
        An entry for each keyword of each schema; those that nothing applies (an unused ``$defs``) included.

    Raises
    ------
    SchemaError
        The text is not JSON, or neither an object nor a boolean.
    LimitError
        The text nests too deeply, or the pointers of all schemas together are too long.
    """
    from structgen._core import Builder, NativeVocabulary
    from structgen._frontends.json_schema import Options, parse_document
    from structgen._frontends.json_schema._explain import Explainer

    limits = {name: options.pop(name) for name in _LIMITS if name in options}
    for name in _IGNORED:
        options.pop(name, None)
    checked = Options(**options)
    vocabulary = NativeVocabulary([bytes([byte]) for byte in range(256)] + [b""], [256], [], 257)

    def new_builder() -> Builder:
        return Builder(vocabulary, max_seconds=checked.max_compile_seconds, **limits)

    explainer = Explainer(parse_document(schema), checked, new_builder)
    entries = tuple(Entry(*row) for row in explainer.rows())
    return Explanation(
        entries, draft=explainer.draft, narrowing=tuple(_narrowing(checked)), complete=explainer.complete
    )


def _narrowing(options: Any) -> list[str]:
    """Say which spellings the options leave out."""
    out = []
    if options.ordered:
        out.append('property_order="schema": objects whose declared keys are not in the order of the schema')
    if not options.all_escapes:
        out.append('escapes="minimal": strings with escapes that need not be there')
    if options.all_numbers:
        out.append('numbers="all": where there are bounds, an enumeration or integers, exponents beyond ±20')
    else:
        out.append('numbers="plain": exponents where there are bounds, an enumeration or integers; 1.0 for 1')
    if options.whitespace == "flexible":
        out.append('whitespace="flexible": more than 64 characters of white space in one place')
    elif options.whitespace == "compact":
        out.append('whitespace="compact": white space between lexemes')
    else:
        out.append(f"whitespace={options.whitespace!r}: any other white space between lexemes")
    if options.distinct_keys:
        out.append('duplicate_keys="forbid": objects in which a key repeats')
    else:
        out.append('duplicate_keys="undeclared": objects in which a declared key repeats')
    out.append("in any case: strings with lone surrogates")
    return out
