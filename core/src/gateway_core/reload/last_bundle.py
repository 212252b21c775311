"""The configuration that was in force last, on disk, for ``gateway run --last-good``.

Local files never start with an older version unless that is asked for. It is written whenever a configuration is in
force, whether it will be asked for or not: who needs it knows so only afterwards. It holds the secrets of the
configuration, and only its owner may read it. A state directory that cannot be written is no fault unless it is needed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway_core.config import ConfigProblem, render_problems
from gateway_core.config.documents import LARGEST_FILE, read_regular
from gateway_core.config.sources import ConfigRoot
from gateway_core.config.sources.last_good import check_owner, write_private
from gateway_core.reload.bundle import ConfigBundle

FORMAT: Final = 1

_LONGEST: Final = 16 * LARGEST_FILE
"""A configuration of many files, with every default written out."""

_logger = logging.getLogger("gateway.config")


class LastBundle:
    """One file for what ``-c`` named."""

    def __init__(self, directory: Path, roots: Sequence[ConfigRoot], *, is_used: bool) -> None:
        """Name the file; nothing is read or written yet.

        :param is_used: whether a start may fall back to it.
        """
        names = "\n".join(str(root.resolve()) if isinstance(root, Path) else root.text for root in roots)
        self.path = directory / f"in-force-{hashlib.sha256(names.encode()).hexdigest()[:16]}.json"
        self._is_used = is_used
        self._saved = ""

    async def save(self, bundle: ConfigBundle) -> None:
        """Keep the configuration that is in force."""
        if bundle.version == self._saved:
            return
        try:
            await asyncio.to_thread(write_private, self.path, {"format": FORMAT, **bundle.to_plain()})
        except OSError as error:
            level = logging.WARNING if self._is_used else logging.DEBUG
            _logger.log(level, "the configuration in force cannot be kept in %s: %s", self.path, error)
        else:
            self._saved = bundle.version

    async def load_after(self, problems: Sequence[ConfigProblem]) -> ConfigBundle | None:
        """Return what was in force last, if a start may use it instead of a configuration with these problems."""
        if not self._is_used:
            return None
        try:
            bundle = await asyncio.to_thread(self._load)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _logger.error("there is no last good configuration in %s: %s", self.path, error)
            return None
        _logger.error(
            "the configuration cannot be used, the one that was in force last is started from %s\n%s",
            self.path,
            render_problems(problems),
        )
        return bundle

    def _load(self) -> ConfigBundle:
        check_owner(self.path.parent)
        check_owner(self.path)
        plain = json.loads(read_regular(self.path, _LONGEST))
        if plain["format"] != FORMAT:
            raise ValueError("it is of another version of the gateway")
        return ConfigBundle.from_plain(plain)
