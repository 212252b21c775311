"""Patterns of file names, as ``cache`` and ``hide`` write them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence


class FilePatterns:
    """Shell patterns: ``*`` takes any characters, ``?`` one, ``[ab]`` one of these.

    A pattern with a ``/`` is compared with the whole path below the root, another one with a single name.
    """

    __slots__ = ("_names", "_paths")

    def __init__(self, patterns: Sequence[str]) -> None:
        # What fnmatch makes of several stars does not go back behind a match: it takes linear time for each star.
        self._paths = [re.compile(fnmatch.translate("/" + each.lstrip("/"))) for each in patterns if "/" in each]
        self._names = [re.compile(fnmatch.translate(each)) for each in patterns if "/" not in each]

    def take(self, names: Sequence[str]) -> bool:
        """Return whether one of the patterns takes a file.

        :param names: the segments of its path below the root; a pattern without ``/`` is compared with the last one.
        """
        if self._names and names and any(pattern.match(names[-1]) for pattern in self._names):
            return True
        return bool(self._paths) and any(pattern.match("/" + "/".join(names)) for pattern in self._paths)

    def take_part(self, names: Sequence[str]) -> bool:
        """Return whether one of the patterns takes a file or one of the directories that it is in."""
        return any(self.take(names[:length]) for length in range(1, len(names) + 1))
