"""The fenced blocks of a Markdown page, and what the words after their fence say about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    """What follows the language."""
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """The file that the block shows, if its first line is a comment with its name."""
        found = re.match(r"# ([\w./-]+\.\w+)\n", self.text)
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    """Return a page's blocks in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            page.name,
            text.count("\n", 0, found.start()) + 1,
            *_info(found["info"]),
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
        )
        for found in _FENCE.finditer(text)
    ]


def _info(info: str) -> tuple[str, tuple[str, ...]]:
    language, *words = info.split() or [""]
    return language, tuple(words)


def shows(expected: str, output: str) -> bool:
    """Whether an output has the expected lines, in order; ``...`` stands for anything, spaces are all alike."""
    wanted = [
        re.compile(".*".join(re.escape(part) for part in " ".join(line.split()).split("...")))
        for line in expected.splitlines()
        if line.strip()
    ]
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    return all(any(pattern.fullmatch(line) for line in lines) for pattern in wanted)
