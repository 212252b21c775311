"""What is found about a value by those who do not know where it is written."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from gateway_core.config.location import KeyPath
from gateway_core.config.problems import Severity


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """Something wrong with, or worth a warning about, the value at a key path within a configuration.

    ``path`` is relative to what was examined, such as ``("providers", 0, "secret")``; empty for all of it. The message
    is lower case, without a full stop, names the value (never a secret) and the remedy. ``code`` is stable, for
    programs: lower case words joined by ``-`` and ``.``.
    """

    path: KeyPath
    message: str
    _: KW_ONLY
    code: str
    severity: Severity = "error"
    is_key: bool = False
    """It is about the last key of the path, not about its value."""
