"""Whether files changed, by what is in them: a touched file did not change, a swapped symlink may have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway_core.config.documents import LARGEST_FILE, real_path
from gateway_core.config.regular_files import read_regular

ABSENT = "absent"

_Stat = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class WatchSet:
    """What one configuration was read from."""

    files: frozenset[Path] = frozenset()
    """Every file that was read, or looked for in vain: documents, includes, ``${file:...}``."""

    directories: frozenset[Path] = frozenset()
    """Directories whose list of entries decides what is read: a directory of documents, an include's pattern."""

    @classmethod
    def of(cls, files: Iterable[Path | str], directories: Iterable[Path | str] = ()) -> WatchSet:
        """Make paths absolute, without following symlinks: the link is what gets replaced."""
        return cls(
            frozenset(Path(file).absolute() for file in files),
            frozenset(Path(directory).absolute() for directory in directories),
        )

    def __or__(self, other: WatchSet) -> WatchSet:
        return WatchSet(self.files | other.files, self.directories | other.directories)

    def watched_directories(self) -> frozenset[Path]:
        """Return the directories to watch: a watch on a file goes deaf when the file is replaced.

        A symlink is watched at both ends, since either may be replaced. What does not exist is watched from its
        nearest ancestor that does.
        """
        wanted = set(self.directories)
        for file in self.files:
            wanted.add(file.parent)
            wanted.add(real_path(file).parent)
        return frozenset(_nearest_existing(directory) for directory in wanted)


def _nearest_existing(directory: Path) -> Path:
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    return directory


class Fingerprint:
    """What was in the files of a watch set; blocking, so call it in a thread."""

    __slots__ = ("entries", "stats")

    def __init__(self) -> None:
        self.entries: dict[Path, str] = {}
        self.stats: dict[Path, _Stat] = {}

    @classmethod
    def take(cls, watched: WatchSet, known: Fingerprint | None = None) -> Fingerprint:
        """Look at everything now; a file whose stat is as ``known`` has it is not read again."""
        taken = cls()
        for file in watched.files:
            taken._look_at(file, known)
        for directory in watched.directories:
            taken.entries[directory] = _listing(directory)
        return taken

    def _look_at(self, file: Path, known: Fingerprint | None) -> None:
        try:
            found = file.stat()
            stat = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if known is not None and known.stats.get(file) == stat:
                self.entries[file] = known.entries[file]
            else:
                self.entries[file] = hashlib.sha256(read_regular(file, LARGEST_FILE)).hexdigest()
            self.stats[file] = stat
        except OSError:
            self.entries[file] = ABSENT

    def extended(self, watched: WatchSet) -> Fingerprint:
        """Return this fingerprint for another watch set: what it has stays as it was seen, the rest is read now.

        So a file that changed while it was being loaded still counts as changed afterwards.
        """
        wanted = watched.files | watched.directories
        taken = Fingerprint.take(
            WatchSet(watched.files - self.entries.keys(), watched.directories - self.entries.keys())
        )
        taken.entries.update({path: seen for path, seen in self.entries.items() if path in wanted})
        taken.stats.update({path: stat for path, stat in self.stats.items() if path in wanted})
        return taken

    def changed_since(self, earlier: Fingerprint) -> tuple[Path, ...]:
        """Return the paths that are in both and not the same."""
        both = self.entries.keys() & earlier.entries.keys()
        return tuple(sorted(path for path in both if self.entries[path] != earlier.entries[path]))

    def absent(self) -> tuple[Path, ...]:
        """Return the files that are not there."""
        return tuple(sorted(path for path, seen in self.entries.items() if seen == ABSENT))


def _listing(directory: Path) -> str:
    try:
        # Hidden entries are editors' swap files and a ConfigMap's own machinery; neither is ever a document.
        return "\n".join(sorted(entry.name for entry in directory.iterdir() if not entry.name.startswith(".")))
    except OSError:
        return ABSENT
