"""A lock file: which plugins an environment should have, down to the bytes of their files.

Its path travels in the environment, so that it holds for every process that validates or serves: none of them imports
what is not as it was locked.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gateway_core.errors import GatewayError

FORMAT: Final = 1

LOCK_VARIABLE: Final = "GATEWAY_LOCK"
"""The environment variable with the path of the lock file; unset or empty if plugins are not locked."""

_NOWHERE: Final = "/dev/null/gateway"
"""A path below which nothing can be."""


class LockError(GatewayError):
    """A lock file that cannot be read."""


@dataclass(frozen=True, slots=True)
class LockedPlugin:
    """One plugin as it was, or is, installed."""

    name: str
    distribution: str
    version: str
    files: str
    """SHA-256 of the distribution's files, names and contents."""

    schema: str
    """SHA-256 of the configuration's schema; empty if the plugin was not imported, as its files had changed."""

    def differences(self, now: LockedPlugin) -> Iterator[str]:
        """Yield what is not as it was locked, without a look at the schema."""
        if (self.distribution, self.version) != (now.distribution, now.version):
            locked, installed = f"{self.distribution} {self.version}", f"{now.distribution} {now.version}"
            yield f"{locked} is locked, {installed} is installed"
        elif self.files != now.files:
            yield f"the files of {now.distribution} {now.version} are not those that were locked"


def is_locked() -> bool:
    """Tell whether this process was started with ``--locked``, or by one that was."""
    return bool(os.environ.get(LOCK_VARIABLE))


def locked_plugins() -> dict[str, LockedPlugin] | None:
    """Return the plugins that this process may import; None if it may import any.

    :raises LockError: the lock file cannot be read.
    """
    path = os.environ.get(LOCK_VARIABLE)
    return read_lock(Path(path)) if path else None


def distrust_byte_code() -> None:
    """Have this process import from source from now on: byte code beside it may be of other code, and is not hashed."""
    sys.pycache_prefix = _NOWHERE
    sys.dont_write_bytecode = True


def write_lock(path: Path, plugins: Mapping[str, LockedPlugin]) -> None:
    """Write a lock file; the same plugins give the same bytes."""
    entries = [asdict(plugins[name]) for name in sorted(plugins)]
    path.write_text(json.dumps({"format": FORMAT, "plugins": entries}, indent=2) + "\n", "utf-8")


def read_lock(path: Path) -> dict[str, LockedPlugin]:
    """Read a lock file.

    :raises LockError: it is not there or is not one.
    """
    try:
        document: Any = json.loads(path.read_text("utf-8"))
        if document["format"] != FORMAT:
            raise LockError(
                f"{path} has format {document['format']!r}, not {FORMAT}: write it again with `gateway plugins lock`"
            )
        return {entry["name"]: LockedPlugin(**entry) for entry in document["plugins"]}
    except FileNotFoundError:
        raise LockError(f"there is no lock file {str(path)!r}: write one by `gateway plugins lock`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LockError(f"{path} is no lock file: {error}") from error
