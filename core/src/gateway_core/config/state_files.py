"""How JSON files of the state directory are read: an earlier program, a power cut or a disk may have left anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gateway_core.config.documents import read_regular
from gateway_core.private_files import check_owner

T = TypeVar("T")


def read_state(path: Path, limit: int, take: Callable[[Any], T]) -> T:
    """Return what is made of the JSON in a file.

    :param limit: bytes at most.
    :param take: makes it; may raise what comes of wrong types and missing keys.
    :raises OSError: it cannot be read, is larger, or another user may have written it.
    :raises ValueError: it is damaged.
    """
    check_owner(path.parent)
    check_owner(path)
    return take_state(read_regular(path, limit), take)


def take_state(data: bytes, take: Callable[[Any], T]) -> T:
    """Return what is made of the JSON in bytes.

    :raises ValueError: they are damaged.
    """
    try:
        return take(json.loads(data))
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is damaged: {error!r}") from error
