"""Datasets of the Hugging Face hub: downloading, and the Parquet files that they are kept in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jsonschemabench.datasets import Case, DatasetError, parse_line

_INSTALL = "pip install 'structgen[hub]'"


def download(name: str) -> Path:
    """Download a dataset, or take it from the hub's cache.

    Parameters
    ----------
    name
        ``OWNER/NAME``, or ``OWNER/NAME/FOLDER`` for one folder of it, such as
        ``epfl-dlab/JSONSchemaBench/Github_easy``.

    Returns
    -------
    Path
        The folder with its Parquet files. The summaries in the folder ``data`` of a dataset are left out.

    Raises
    ------
    DatasetError
        If ``huggingface_hub`` is not installed, there is no network and no cached copy, or no such dataset.
    """
    parts = name.strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise DatasetError(f"hub:{name}: a dataset is named hub:OWNER/NAME or hub:OWNER/NAME/FOLDER")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    except ImportError as error:
        raise DatasetError(f"huggingface_hub can't be imported ({error}): {_INSTALL}") from error
    repository, folder = "/".join(parts[:2]), parts[2] if len(parts) == 3 else None
    try:
        found = Path(
            snapshot_download(
                repository,
                repo_type="dataset",
                allow_patterns=f"{folder or '*'}/*.parquet",
                ignore_patterns=None if folder else "data/*",
            )
        )
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise DatasetError(f"there is no dataset {repository} on the hub: {error}") from error
    except Exception as error:
        # Without a network the hub's client fails in many ways, those of its HTTP library among them.
        raise DatasetError(
            f"{repository} can't be downloaded ({type(error).__name__}), and there is no copy in the hub's "
            "cache. Without a network, download it elsewhere and name its folder with --data, "
            "or use the package's own schemas: --data small"
        ) from error
    place = found / folder if folder else found
    if not any(place.rglob("*.parquet")):
        raise DatasetError(f"{repository} has no folder {folder!r} with Parquet files")
    return place


def read_parquet(folder: Path) -> Iterator[Case]:
    """Read the schemas of all Parquet files of a folder, in columns ``json_schema`` and ``unique_id``.

    Yields
    ------
    Case
        Without instances, named by folder, file and ``unique_id``.

    Raises
    ------
    DatasetError
        If ``pyarrow`` is not installed, or a file has other columns.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DatasetError(f"Parquet files need pyarrow ({error}): {_INSTALL}") from error
    for file in sorted(folder.rglob("*.parquet")):
        place = file.relative_to(folder).with_suffix("").as_posix()
        try:
            rows = parquet.read_table(file, columns=["json_schema", "unique_id"]).to_pylist()
            for number, row in enumerate(rows):
                name = f"{place}/{number}-{row['unique_id']}"
                yield parse_line({"json_schema": row["json_schema"], "name": name}, name)
        except (ArrowException, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DatasetError(f"{os.fspath(file)} is not a file of JSONSchemaBench: {error}") from error
