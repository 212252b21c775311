"""What a scalar stands for: references in it are replaced, and it gets its type.

References are ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and ``${file:/path}``; ``$${`` stands for ``${``.
A default may hold further references, which are resolved only if it is used, and braces that balance, as those of
regular expressions do. ``:-`` and ``:?`` take an empty value for an unset one.

Typing: a scalar that is wholly one unquoted ``${NAME}`` takes the type of what it stands for (``weight: ${WEIGHT}`` is
a number), except that it never becomes null; a quoted one, one with text around it and ``${file:...}`` are always text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway_core.config.documents import ALL_RIGHTS, ReadFailure, Right, decode, read_bytes
from gateway_core.config.redaction import is_named_secret
from gateway_core.config.suggestions import did_you_mean, quote
from gateway_core.config.yaml_nodes import Scalar, read_environment

_MARK: Final = re.compile(r"\$\$\{|\$\{|[{}]")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::([-?])(.*))?", re.DOTALL)
_LITERAL: Final = 'write "$${" for a literal "${"'
_FILE: Final = "file:"
_DEEPEST: Final = 20
LARGEST_VALUE: Final = 1024 * 1024
"""Bytes that ``${file:...}`` may bring in."""


class SubstitutionError(ValueError):
    """A reference that stands for nothing; carries the code of the problem."""

    def __init__(self, reason: str, *, code: str, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy
        self.code = code


@dataclass(frozen=True, slots=True)
class _Reference:
    """What stands between ``${`` and its closing brace."""

    name: str
    operator: str
    """Empty, ``-`` (a default follows) or ``?`` (a message follows)."""
    rest: str
    """The default or the message, as written."""

    @classmethod
    def parse(cls, inner: str) -> _Reference:
        match = _NAME.fullmatch(inner)
        if match is None:
            form = quote("${" + inner + "}")
            reason = f"{form} is none of ${{NAME}}, ${{NAME:-default}}, ${{NAME:?message}} and ${{file:/path}}"
            raise SubstitutionError(reason, code="substitution.syntax", remedy=_LITERAL)
        name, operator, rest = match.groups()
        return cls(name, operator or "", rest or "")


@dataclass(slots=True)
class Substitution:
    """Replaces references; remembers which files it read."""

    environ: Mapping[str, str]
    files: list[Path] = field(default_factory=list)

    def resolve(
        self, text: str, *, plain: bool, directory: Path | None, rights: frozenset[Right] = ALL_RIGHTS
    ) -> Scalar:
        """Return the value of a scalar that contains ``${``.

        :param directory: what relative names of files start from.
        :param rights: what the document may bring in.
        :raises ValueError: with the reason; a `SubstitutionError` if a reference is to blame.
        """
        resolver = _Resolver(self, text, directory, rights)
        value = resolver.expand(text)
        is_whole = text.startswith("${") and _closing(text, 2) == len(text) - 1
        return read_environment(value) if plain and is_whole and not resolver.has_file else value


@dataclass(slots=True)
class _Resolver:
    """Expands the references of one scalar."""

    owner: Substitution
    whole: str
    directory: Path | None
    rights: frozenset[Right]
    has_file: bool = False
    """Whether a file was brought in: what is in one is always text."""

    def expand(self, text: str, depth: int = 0, *, is_used: bool = True) -> str:
        """Replace every reference in ``text``.

        :param is_used: False only looks whether the references are well-formed.
        """
        if depth > _DEEPEST:
            reason = f"{quote(self.whole)} nests more than {_DEEPEST} references"
            raise SubstitutionError(reason, code="substitution.syntax", remedy=_LITERAL)
        parts: list[str] = []
        position, open_braces, has_reference = 0, 0, False
        while (match := _MARK.search(text, position)) is not None:
            mark = match.group()
            parts.append(text[position : match.start()])
            position = match.end()
            if mark == "${":
                end = _closing(text, position)
                if end < 0:
                    reason = f'{quote(self.whole)} has no closing "}}"'
                    raise SubstitutionError(reason, code="substitution.syntax", remedy=f"close it, or {_LITERAL}")
                inner = text[position:end]
                has_reference = True
                parts.append(self._value(inner, depth, is_used=is_used))
                position = end + 1
                continue
            open_braces += -1 if mark == "}" else 1
            if open_braces < 0 and has_reference and not parts[-1].endswith("\\"):
                message = f'{quote(self.whole)} has a "}}" left over behind a reference'
                raise SubstitutionError(
                    message,
                    code="substitution.syntax",
                    remedy="remove one, as braces of a default must balance, or put the whole value into the variable",
                )
            open_braces = max(open_braces, 0)
            parts.append("${" if mark == "$${" else mark)
        return "".join([*parts, text[position:]])

    def _value(self, inner: str, depth: int, *, is_used: bool) -> str:
        if inner.startswith(_FILE):
            return self._read(self.expand(inner.removeprefix(_FILE), depth + 1, is_used=is_used)) if is_used else ""
        reference = _Reference.parse(inner)
        if is_used:
            self._check("env", "${" + reference.name + "}")
        value = self.owner.environ.get(reference.name)
        if reference.operator == "-":
            default = self.expand(reference.rest, depth + 1, is_used=is_used and not value)
            return value or default
        if not is_used:
            return ""
        if reference.operator == "?" and not value:
            what = reference.rest.strip() or "it is needed"
            reason = f"{reference.name} is not set in the environment"
            raise SubstitutionError(reason, code="substitution.unset", remedy=what)
        if value is None:
            raise self._unset(reference.name)
        return value

    def _unset(self, name: str) -> SubstitutionError:
        # Three letters resemble anything.
        hint = did_you_mean(name, self.owner.environ) if len(name) > 3 else ""
        # A default would be a secret that everyone with the file knows.
        other_form = "read a file: ${file:/path}" if is_named_secret(name) else f"give a default: ${{{name}:-default}}"
        reason = f"{name} is not set in the environment"
        return SubstitutionError(reason, code="substitution.unset", remedy=f"{hint or 'set it,'} or {other_form}")

    def _check(self, right: Right, reference: str) -> None:
        if right not in self.rights:
            message = f"{quote(reference)} is not allowed in a document of this source"
            raise SubstitutionError(
                message,
                code="substitution.not-allowed",
                remedy=f"write the value, or allow it in a local file: allow: [{right}] of the source, or of admin",
            )

    def _read(self, name: str) -> str:
        reference = "${file:" + name + "}"
        self._check("files", reference)
        path = Path(name)
        if not name or (self.directory is None and not path.is_absolute()):
            message = f"{quote(reference)} names no absolute path"
            raise SubstitutionError(message, code="substitution.syntax", remedy="write ${file:/path/of/the/file}")
        path = path if self.directory is None else self.directory / path
        self.has_file = True
        self.owner.files.append(path)
        data = read_bytes(path, limit=LARGEST_VALUE)
        if isinstance(data, ReadFailure):
            raise SubstitutionError(f"the file {quote(str(path))} {data.reason}", code=data.code)
        text = decode(data)
        if isinstance(text, int):
            raise SubstitutionError(f"the file {quote(str(path))} is not UTF-8 text", code="file.not-utf8")
        return text.removesuffix("\n").removesuffix("\r")


def _closing(text: str, start: int) -> int:
    """Return the position of the brace that closes the reference whose inside begins at ``start``; -1 if none does."""
    depth = 1
    for match in _MARK.finditer(text, start):
        depth += -1 if match.group() == "}" else 1
        if not depth:
            return match.start()
    return -1
