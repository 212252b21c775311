"""``${NAME}``, ``${NAME:-default}`` and ``${file:/path}`` in scalars; ``$${`` is a literal ``${``.

Typing: a scalar that is wholly one unquoted ``${NAME}`` takes the type of what it stands for (``weight: ${WEIGHT}`` is
a number), except that it never becomes null; a quoted one, one with text around it and ``${file:...}`` are always text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway_core.config.documents import ReadFailure, decode, read_bytes
from gateway_core.config.redaction import is_named_secret
from gateway_core.config.scalars import Scalar, read_environment
from gateway_core.config.words import did_you_mean, quote

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\})?")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_LITERAL: Final = 'write "$${" for a literal "${"'
LARGEST_VALUE: Final = 1024 * 1024
"""Bytes that ``${file:...}`` may bring in."""


class SubstitutionError(ValueError):
    """A reference that stands for nothing; carries the code of the problem."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Substitution:
    """Replaces references; remembers which files it read."""

    environ: Mapping[str, str]
    files: list[Path] = field(default_factory=list)

    def resolve(self, text: str, *, plain: bool, directory: Path | None) -> Scalar:
        """Return the value of a scalar that contains ``${``.

        :raises ValueError: with the reason; a `SubstitutionError` if a reference is to blame.
        """

        def replace(match: re.Match[str]) -> str:
            if match.group() == "$${":
                return "${"
            if match.group(2) is None:
                message = f'{quote(text)} has no closing "}}": {_LITERAL}'
                raise SubstitutionError(message, code="substitution.syntax")
            return self._lookup(match.group(1), directory)

        whole = _REFERENCE.fullmatch(text)
        typed = plain and whole is not None and whole.group(1) is not None and not whole.group(1).startswith("file:")
        value = _REFERENCE.sub(replace, text)
        return read_environment(value) if typed else value

    def _lookup(self, reference: str, directory: Path | None) -> str:
        if reference.startswith("file:"):
            return self._read(reference.removeprefix("file:"), directory)
        match = _NAME.fullmatch(reference)
        if match is None:
            raise SubstitutionError(
                f"{quote('${' + reference + '}')} is neither ${{NAME}}, ${{NAME:-default}} nor ${{file:/path}}: "
                f"{_LITERAL}",
                code="substitution.syntax",
            )
        name, default = match.groups()
        value = self.environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            # Three letters resemble anything.
            hint = did_you_mean(name, self.environ) if len(name) > 3 else ""
            # A default would be a secret that everyone with the file knows.
            other_form = (
                "read a file: ${file:/path}" if is_named_secret(name) else f"give a default: ${{{name}:-default}}"
            )
            message = f"{name} is not set in the environment{hint or ': set it,'} or {other_form}"
            raise SubstitutionError(message, code="substitution.unset")
        return value

    def _read(self, name: str, directory: Path | None) -> str:
        path = Path(name)
        if not name or (directory is None and not path.is_absolute()):
            reference = quote("${file:" + name + "}")
            message = f"{reference} names no absolute path: write ${{file:/path/of/the/file}}"
            raise SubstitutionError(message, code="substitution.syntax")
        path = path if directory is None else directory / path
        self.files.append(path)
        data = read_bytes(path, limit=LARGEST_VALUE)
        if isinstance(data, ReadFailure):
            raise SubstitutionError(f"the file {quote(str(path))} {data.reason}", code=data.code)
        text = decode(data)
        if isinstance(text, int):
            raise SubstitutionError(f"the file {quote(str(path))} is not UTF-8 text", code="file.not-utf8")
        return text.removesuffix("\n").removesuffix("\r")
