"""What studies of sampling methods share: files of rows, lists in options, models of the repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jsonschemabench import results
from jsonschemabench.engines import EngineUnavailableError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
R = TypeVar("R", bound="DataclassInstance")


class RowFile(Generic[S, R]):
    """JSON lines: the settings of a run, then its rows, to which a resumed run adds.

    Parameters
    ----------
    path
        The file; it need not be there.
    kind
        What the first line is called.
    settings, row
        Make settings and rows of the content of a line.
    tag
        The key under which a line has its kind.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        settings: Callable[..., S],
        row: Callable[[dict[str, Any]], R],
        tag: str = "kind",
    ) -> None:
        self._path = path
        self._kind = kind
        self._settings = settings
        self._row = row
        self._tag = tag

    def read(self) -> tuple[S | None, list[R]]:
        """Return settings and rows; a last line that was cut off is left out.

        Raises
        ------
        ValueError
            The file is none of this kind.
        """
        settings = None
        rows = []
        lines = self._path.read_text(encoding="utf-8").split("\n") if self._path.exists() else []
        # What follows the last line break is nothing, or what an interrupted run has left.
        for number, line in enumerate(lines[:-1], 1):
            try:
                content = json.loads(line)
                if content.pop(self._tag) == self._kind:
                    settings = self._settings(**content["settings"])
                else:
                    rows.append(self._row(content))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"{self._path}, line {number}: not a line of a {self._kind} file ({error!r})"
                ) from error
        if rows and settings is None:
            raise ValueError(f"{self._path} does not begin with the settings of its run")
        return settings, rows

    def resume(self, settings: S) -> list[R]:
        """Return the rows that are there already, and leave the file ready for more.

        Raises
        ------
        ValueError
            The file is none of this kind, or of a run with other settings.
        """
        found, rows = self.read()
        if found is not None and found != settings:
            raise ValueError(
                f"{self._path} has rows of another run ({found}, not {settings}); name another file"
            )
        manifest = {"settings": asdict(settings), "cpu": results.cpu_name(), "commit": results.commit()}
        lines = [json.dumps({self._tag: self._kind, **manifest}) + "\n"]
        lines += [self._line(row) for row in rows]
        # A run killed here leaves the file as it was.
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(self._path)
        return rows

    def append(self, row: R) -> None:
        """Write one more row, so that it is there whatever comes next."""
        with self._path.open("a", encoding="utf-8") as out:
            out.write(self._line(row))

    def _line(self, row: R) -> str:
        return json.dumps({self._tag: "row", **asdict(row)}, ensure_ascii=False) + "\n"


def names(text: str, known: Iterable[str], option: str) -> list[str]:
    """Return the names that an option lists.

    Raises
    ------
    ValueError
        One is unknown, or is there twice, or there is none.
    """
    known = list(known)
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found or len(set(found)) != len(found) or not set(found) <= set(known):
        raise ValueError(f"{option} wants different names of {', '.join(known)}, separated by commas")
    return found


def counts(text: str, option: str) -> list[int]:
    """Return the numbers that an option lists.

    Raises
    ------
    ValueError
        One is no number, or less than 1.
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} wants numbers, separated by commas") from None
    if min(found) < 1:
        raise ValueError(f"{option} are 1 at least")
    return found


def repository_model(weights: Path, script: str) -> Path:
    """Return the folder of a model that a script of the repository trains.

    Raises
    ------
    EngineUnavailableError
        It is not there.
    """
    here = Path.cwd()
    for root in (Path(__file__).resolve().parents[1], here, *here.parents):
        if (root / weights / "model.safetensors").is_file():
            return root / weights
    raise EngineUnavailableError(
        f"{weights} was not found: run in a checkout of structgen, train the model with "
        f"`python {script}`, or name its folder with --model"
    )
