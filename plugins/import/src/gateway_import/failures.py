"""Why nothing can be imported, and where anything of a configuration comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A place in a file that is read."""

    file: str
    """The name as it was given, or that of an included file below the folder of the first one."""
    line: int = 0
    """Counted from 1; 0 is the whole file."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class CannotImportError(ValueError):
    """The file cannot be imported at all; the text names the place and the remedy."""

    def __init__(self, origin: Origin, message: str) -> None:
        super().__init__(f"{origin}: {message}")
        self.origin = origin
        self.message = message
