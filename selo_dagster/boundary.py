"""The one boundary between this project's code and Dagster's records: no private text gets across."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from selo_dagster.errors import SeloError

log = logging.getLogger(__name__)


@contextmanager
def private_boundary(what: str) -> Iterator[None]:
    """Turn every error inside into a `Failure` with a code, without the error that caused it.

    Exceptions carry what people wrote: a driver shows a rejected row, a parser the text that it read. Dagster
    stores the whole chain. So only the class and the place cross this line. Our own SeloError is written to be
    read by anybody and crosses with its sentence; interrupts pass as they are.
    """
    try:
        yield
    except dg.Failure:
        raise
    except SeloError as refused:
        raise dg.Failure(f"{refused.code}: {refused.message}", {"code": refused.code}, allow_retries=False) from None
    except Exception as broken:  # noqa: BLE001 - the boundary is where every class has to be caught
        code = type(broken).__name__
        raise dg.Failure(f"{what} ended with {code} at {_place(broken)}", {"code": code}) from None


def _place(broken: Exception) -> str:
    frames = traceback.extract_tb(broken.__traceback__)
    ours = [frame for frame in frames if "selo_dagster" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
