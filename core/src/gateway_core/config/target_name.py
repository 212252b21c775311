"""Targets that are named by what a route captured: ``users-:tenant``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r":([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class TargetName:
    """A target with parameters in its name; ``parts`` alternates between literal texts and names of parameters."""

    parts: tuple[str, ...]

    @property
    def params(self) -> tuple[str, ...]:
        """The names of its parameters."""
        return self.parts[1::2]

    def for_params(self, params: Mapping[str, str]) -> str | None:
        """Return the name of a request's target; None if a parameter is missing."""
        texts = list(self.parts)
        for index in range(1, len(texts), 2):
            text = params.get(texts[index])
            if text is None:
                return None
            texts[index] = text
        return "".join(texts)

    def among(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that a request may be sent to."""
        pattern = re.compile(
            "".join([".+" if index % 2 else re.escape(part) for index, part in enumerate(self.parts)]), re.DOTALL
        )
        return [name for name in names if pattern.fullmatch(name)]


def target_name(target: str) -> TargetName | None:
    """Return what names a target by parameters; None if the text has none."""
    parts = tuple(_PLACEHOLDER.split(target))
    return TargetName(parts) if len(parts) > 1 else None
