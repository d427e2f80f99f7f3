"""Tables of a data folder as they are read from parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from nasbench_eval.truth.errors import TruthError
from nasbench_eval.wording import first_line


def read(path: Path, rebuild: str, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """A parquet file's table, or those of the named columns that it has.

    Raises:
        TruthError: if the file is damaged; the message ends with `rebuild`, what to do.
    """
    with readable(str(path), rebuild), pq.ParquetFile(path) as file:
        wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        # What pandas wrote beside the columns is not needed, and may be damaged as well.
        table: pd.DataFrame = file.read(columns=wanted).to_pandas(ignore_metadata=True)
    return table


@contextmanager
def readable(what: str, rebuild: str) -> Iterator[None]:
    """Whatever goes wrong inside is a TruthError that calls the file `what` and ends with `rebuild`."""
    try:
        yield
    except Exception as error:  # Arrow's own, and whatever a damaged schema leads to
        reason = first_line(error).rstrip(".")
        raise TruthError(f"{what} is truncated or no parquet file ({reason}); {rebuild}") from error
