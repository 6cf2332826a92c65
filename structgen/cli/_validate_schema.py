"""A schema to validate with: its draft, the documents it refers to, and the violations it finds."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import unquote, urlsplit

import referencing
import referencing.exceptions
from jsonschema.exceptions import best_match
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

from structgen._errors import LimitError
from structgen.cli import _validate_dialect as dialect
from structgen.cli import _validate_messages as messages
from structgen.cli._common import UnusableInputError
from structgen.cli._documents import Document, Path, read_schema_document
from structgen.cli._excerpts import excerpt
from structgen.cli._patterns import PatternError, compile_pattern, search
from structgen.cli._validate_messages import Violation

_SPECIFICATIONS = {
    "4": DRAFT4,
    "6": DRAFT6,
    "7": DRAFT7,
    "2019-09": DRAFT201909,
    "2020-12": DRAFT202012,
}
_NOWHERE = (referencing.exceptions.PointerToNowhere, referencing.exceptions.NoSuchAnchor)
_SHALLOW = 100
"""Documents with fewer levels are checked, whatever the schema, unless that is endless."""

_VALUES = ("const", "default", "enum", "examples")
"""Keywords that hold no schemas."""

_SUFFIXES = (".json", ".yaml", ".yml", ".toml")


class References:
    """The documents that references may reach: files that the user names, and never the network.

    Parameters
    ----------
    folder : str or None
        The folder of the schema: relative references lead into it.
    mapping : dict of str to str
        Files by URI; a URI that ends with ``/`` stands for a folder.
    folders : sequence of str
        Folders whose schemas are known by their identifiers, and which relative references lead into, too.
    draft : str
        The draft of documents that do not say theirs.
    """

    def __init__(
        self, folder: str | None, mapping: dict[str, str], folders: tuple[str, ...], draft: str
    ) -> None:
        self._roots = [
            FilePath(root).resolve() for root in [*([folder] if folder is not None else []), *folders]
        ]
        self._prefixes = {uri: FilePath(path) for uri, path in mapping.items() if uri.endswith("/")}
        self._specification = _SPECIFICATIONS[draft]
        self._texts: dict[str, Document] = {}
        resources = [
            (uri.removesuffix("#"), self._read(FilePath(path), uri.removesuffix("#")))
            for uri, path in mapping.items()
            if not uri.endswith("/")
        ]
        for path in self._files(folders):
            resource = self._read(path, None)
            if resource is not None and resource.id() is not None:
                resources.append((resource.id(), resource))
        empty: Any = referencing.Registry(retrieve=functools.cache(self._retrieve))  # type: ignore[call-arg]
        try:
            self.registry: Any = empty.with_resources(resources).crawl()
        except Exception as error:
            raise UnusableInputError(
                "--ref and --ref-dir",
                f"name a document that is no schema ({type(error).__name__}: {error})",
                "name schemas only",
            ) from error

    def places(self) -> Iterator[tuple[str, Any]]:
        """Yield the documents that have been read, as address and value."""
        for address, document in self._texts.items():
            yield address, document.value

    @staticmethod
    def _files(folders: tuple[str, ...]) -> Iterator[FilePath]:
        for folder in folders:
            if not os.path.isdir(folder):
                raise UnusableInputError(folder, "is no directory", "--ref-dir wants a folder of schemas")
            for parent, names, files in os.walk(folder):
                names[:] = sorted(name for name in names if not name.startswith("."))
                yield from (
                    FilePath(parent, name) for name in sorted(files) if name.lower().endswith(_SUFFIXES)
                )

    def _read(self, path: FilePath, address: str | None) -> Any:
        """Read a document; of one that is in a folder by chance and can be no schema, None."""
        try:
            document = read_schema_document(str(path))
        except UnusableInputError:
            if address is not None:
                raise
            return None
        if address is None and not isinstance(document.value, dict):
            return None
        resource = self._resource(document.value)
        self._texts[address or resource.id() or str(path)] = document
        return resource

    def _resource(self, value: Any) -> Any:
        try:
            return referencing.Resource.from_contents(value, default_specification=self._specification)
        except referencing.exceptions.CannotDetermineSpecification:
            return self._specification.create_resource(value)

    def _retrieve(self, uri: str) -> Any:
        for prefix, folder in self._prefixes.items():
            if uri.startswith(prefix):
                path = self._within(folder.resolve(), uri.removeprefix(prefix))
                if path is not None:
                    return self._read(path, uri)
        scheme = urlsplit(uri).scheme
        if scheme in ("", "file"):
            for root in self._roots:
                path = self._within(root, urlsplit(uri).path)
                if path is not None:
                    return self._read(path, uri)
        raise referencing.exceptions.NoSuchResource(ref=uri)  # type: ignore[call-arg]

    @staticmethod
    def _within(root: FilePath, relative: str) -> FilePath | None:
        """Return a file below a folder: a schema from a stranger reads no others."""
        path = (root / unquote(relative.partition("#")[0])).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None


class Checker:
    """Finds violations of a schema.

    Parameters
    ----------
    document : Document
        The schema.
    folder : str or None
        The folder that it is in.
    draft : str, optional
        Its draft; by default what ``$schema`` says, else 2020-12.
    mapping, folders
        As :class:`References` takes them.
    formats : bool
        Whether ``format`` is asserted.

    Raises
    ------
    UnusableInputError
        If it is no valid schema of its draft, or the draft is unknown.
    """

    def __init__(
        self,
        document: Document,
        folder: str | None,
        *,
        draft: str | None = None,
        mapping: dict[str, str] | None = None,
        folders: tuple[str, ...] = (),
        formats: bool = False,
    ) -> None:
        self._document = document
        mapping = mapping or {}
        self._places: dict[int, tuple[str, Path]] = {}
        said = document.value.get("$schema") if isinstance(document.value, dict) else None
        known = References(folder, mapping, folders, draft or "2020-12")
        self.draft, ignored = self._dialect(said, draft, known)
        self._references = (
            known if self.draft == (draft or "2020-12") else References(folder, mapping, folders, self.draft)
        )
        cls = dialect.validator_class(self.draft, ignored)
        self._check_schema(dialect.validator_class(self.draft))
        self.warnings = list(self._inexact_patterns())
        checker = dialect.format_checker() if formats else None
        self._schema = document.value
        if draft is not None and said is not None:
            # jsonschema would go by it wherever a reference leads to the root.
            self._schema = {key: value for key, value in document.value.items() if key != "$schema"}
        self._validator = cls(self._schema, registry=self._references.registry, format_checker=checker)

    # -- the schema itself -----------------------------------------------------------------

    def _dialect(self, said: Any, draft: str | None, references: References) -> tuple[str, frozenset[str]]:
        # Imported late: the front end of the compiler, which knows about dialects and vocabularies.
        from structgen._frontends.json_schema._dialects import Dialects, UnresolvableError

        if said is None:
            return draft or "2020-12", frozenset()
        try:
            found = Dialects(references.registry).of(said)
        except UnresolvableError as error:
            raise self._unusable(("$schema",), error.reason, error.hint) from None
        if found is None and draft is None:
            raise self._unusable(
                ("$schema",),
                f"names the metaschema {messages.brief(said)}, which is not known",
                "say the draft with --draft, or give the metaschema with --ref URI=FILE",
            )
        if found is None or (draft is not None and draft != found.draft):
            return draft or "2020-12", frozenset()
        return found

    def _unusable(self, path: Path, reason: str, hint: str | None = None) -> UnusableInputError:
        line, column = self._document.position(self._document.spans([path])[path].start)
        return UnusableInputError(self._document.name, reason, hint, line=line, column=column)

    def _check_schema(self, cls: Any) -> None:
        metaschema = cls(cls.META_SCHEMA, format_checker=dialect.pattern_checker())
        try:
            error = best_match(metaschema.iter_errors(self._document.value))
        except RecursionError:
            raise UnusableInputError(self._document.name, "is nested too deeply") from None
        if error is None:
            return
        path = tuple(error.absolute_path)
        problem = messages.sentence(*messages.describe(error, []))
        branches = messages.causes(error, messages.pointer(path), lambda child: "")[:3]
        if branches:
            problem += f" ({'; '.join(branch.message for branch in branches)})"
        raise self._unusable(
            path,
            f"is no valid schema of draft {self.draft}: at {messages.pointer(path)!r} {problem}",
            "mend the schema, or say another draft with --draft",
        )

    def _inexact_patterns(self) -> Iterator[str]:
        for path, pattern in _patterns(self._document.value):
            try:
                pattern_is_exact = compile_pattern(pattern).exact
            except PatternError as error:
                raise self._unusable(path, str(error)) from None
            if not pattern_is_exact:
                yield (
                    f"the pattern at {messages.pointer(path)!r} is not regular or too large; "
                    "it is matched by Python's re, which differs from ECMA-262 in details"
                )

    # -- violations ------------------------------------------------------------------------

    def violations(self, document: Document) -> list[Violation]:
        """Find the violations of a document, in the order of its text.

        Raises
        ------
        UnusableInputError
            If a reference leads nowhere, or document or schema are nested too deeply.
        """
        try:
            errors = list(self._validator.iter_errors(document.value))
        except referencing.exceptions.Unresolvable as error:
            raise self._unresolvable(error) from None
        except (PatternError, LimitError) as error:
            raise UnusableInputError(self._document.name, str(error), "simplify the schema") from None
        except RecursionError:
            if _depth(document.value) < _SHALLOW:
                raise UnusableInputError(
                    self._document.name, "refers to itself without end", "check its references"
                ) from None
            raise UnusableInputError(
                document.name,
                "is nested too deeply for a schema that refers to itself",
                "some hundred levels can be checked",
                line=document.first_line,
                column=1,
            ) from None
        except Exception as error:
            # Documents that references lead to are not checked themselves.
            raise UnusableInputError(
                self._document.name,
                f"refers to something that is no schema ({type(error).__name__}: {error})",
                "check what its references lead to",
            ) from error
        if not errors:
            return []
        # Where each is: a key too many is at the key itself, so is one that is misnamed.
        where = [_place(error, document.value) for error in errors]
        spans = document.spans({path for path, _, _ in where})
        found = [
            self._violation(document, error, extra, spans[path], at_key)
            for error, (path, at_key, extra) in zip(errors, where, strict=True)
        ]
        return sorted(found, key=lambda violation: (violation.line, violation.column, violation.schema))

    def _violation(
        self, document: Document, error: Any, extra: list[str], span: Any, at_key: bool
    ) -> Violation:
        start, end = span.key if at_key and span.key is not None else (span.start, span.end)
        line, column = document.position(start)
        end_line, end_column = document.position(end)
        expected, found = messages.describe(error, extra)
        instance = messages.pointer(error.absolute_path)
        return Violation(
            file=document.name,
            line=line,
            column=column,
            end_line=end_line,
            end_column=end_column,
            document=document.index,
            instance=instance,
            schema=self._schema_place(error),
            keyword=error.validator or "false",
            expected=expected,
            found=found,
            causes=messages.causes(error, instance, self._schema_place),
            excerpt=excerpt(document, start, end),
        )

    def _unresolvable(self, error: BaseException) -> UnusableInputError:
        reference = getattr(error, "ref", "?")
        seen: BaseException | None = error
        while seen is not None:
            if isinstance(seen, UnusableInputError):
                return seen
            if isinstance(seen, _NOWHERE):
                return UnusableInputError(
                    self._document.name,
                    f"the reference {'#' + reference!r} leads to nothing in its document",
                    "check its spelling",
                )
            seen = seen.__cause__ or seen.__context__
        return UnusableInputError(
            self._document.name,
            f"the reference {reference!r} leads to nothing that is known",
            "name its document with --ref URI=FILE or its folder with --ref-dir; nothing is downloaded",
        )

    def _schema_place(self, error: Any) -> str:
        """Return where the keyword of an error is written, beyond all references."""
        place = self._find(error.schema)
        if place is None:
            return messages.pointer(error.absolute_schema_path)
        address, path = place
        keyword = () if error.validator is None else (error.validator,)
        return (address + "#" if address else "") + messages.pointer((*path, *keyword))

    def _find(self, node: Any) -> tuple[str, Path] | None:
        if not isinstance(node, dict):
            return None
        if not self._places:
            self._note("", self._schema)
        if id(node) not in self._places:
            for address, value in self._references.places():
                self._note(address, value)
        return self._places.get(id(node))

    def _note(self, address: str, root: Any) -> None:
        todo: list[tuple[Any, Path]] = [(root, ())]
        while todo:
            node, path = todo.pop()
            if isinstance(node, dict):
                if id(node) in self._places:
                    continue
                self._places[id(node)] = (address, path)
                todo.extend((child, (*path, key)) for key, child in node.items())
            elif isinstance(node, list):
                todo.extend((child, (*path, index)) for index, child in enumerate(node))


def _place(error: Any, value: Any) -> tuple[Path, bool, list[str]]:
    """Return what an error points to, whether it means the key there, and names that are too many."""
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        extra = _additional(error)
        if extra:
            return (*path, extra[0]), True, extra
    if isinstance(error.instance, str) and isinstance(_part(value, path), dict):
        # A name that "propertyNames" refuses: the path is that of its object.
        return (*path, error.instance), True, []
    return path, False, []


def _depth(value: Any) -> int:
    """Return how deep a value is nested, or a number from :data:`_SHALLOW` on."""
    level, depth = [value], 0
    while level and depth < _SHALLOW:
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        depth += 1
    return depth


def _part(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _additional(error: Any) -> list[str]:
    schema = error.schema
    return [
        name
        for name in error.instance
        if name not in schema.get("properties", {})
        and not any(search(pattern, name) for pattern in schema.get("patternProperties", {}))
    ]


def _patterns(schema: Any) -> Iterator[tuple[Path, str]]:
    """Yield the patterns of a schema."""
    todo: list[tuple[Any, Path]] = [(schema, ())]
    while todo:
        node, path = todo.pop()
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str):
                yield (*path, "pattern"), node["pattern"]
            if isinstance(node.get("patternProperties"), dict):
                yield from (((*path, "patternProperties", key), key) for key in node["patternProperties"])
            todo.extend((child, (*path, key)) for key, child in node.items() if key not in _VALUES)
        elif isinstance(node, list):
            todo.extend((child, (*path, index)) for index, child in enumerate(node))
