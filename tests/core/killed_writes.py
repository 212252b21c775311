"""Writes a file of the state directory again and again, killed (SIGKILL) at each line that a write runs through.

Run as a program, it prints one line of JSON: how many lines there were, and what was found on disk after each kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from gateway_core import private_files
from gateway_core.admin.tokens import TokenFile, make_token
from gateway_core.config.api_document_store import DocumentStore
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.overrides import Override, OverrideStore, with_one
from gateway_core.reload.versions import Pin, VersionStore

TRACED = private_files.__file__
"""What all of them write by."""


_MOST_LINES = 1000


def document(folder: Path, number: int | None) -> str:
    store = DocumentStore(folder, [])
    if number is not None:
        store.save(store.load().put("routes", "a", {"id": "a", "path": f"/{number}"}))
    return json.dumps(store.load().text())


def override(folder: Path, number: int | None) -> str:
    store = OverrideStore(folder, [])
    if number is not None:
        store.change(lambda there: with_one(there, Override("drain", "e", "me", 0, 9e9, str(number), "u")))
    return ",".join(each.reason for each in store.load())


def version(folder: Path, number: int | None) -> str:
    store = VersionStore(folder, [])
    if number is not None:
        store.keep(ConfigBundle(f"v{number}", (b"{}",), 1, {}), 1.0, "", "")
    return ",".join(store.load(each.number).version for each in store.entries())


def pin(folder: Path, number: int | None) -> str:
    store = VersionStore(folder, [])
    if not store.entries():
        store.keep(ConfigBundle("v1", (b"{}",), 1, {}), 1.0, "", "")
    if number is not None:
        store.set_pin(Pin(1, "ops", float(number)))
    found = store.pinned()
    return f"{store.pin()} {None if found is None else found.version} {0 if (one := store.pin()) is None else one.at}"


def token(folder: Path, number: int | None) -> str:
    file = TokenFile(folder)
    if number is not None:
        file.change(lambda _: [make_token(f"t{number}", "viewer", 0, lifetime=None)[1]])
    return ",".join(each.token.name for each in file.load())


WRITES: dict[str, Callable[[Path, int | None], str]] = {
    "document": document,
    "override": override,
    "version": version,
    "pin": pin,
    "token": token,
}
"""Each writes a value, unless it is None, and returns what is on disk."""


def killed_at(line: int, write: Callable[[], object]) -> bool:
    """Write in a child process that is killed before so many lines have run; return whether it was."""
    pid = os.fork()
    if pid == 0:
        left = line

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename != TRACED:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            write()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def main(name: str, folder: Path) -> None:
    use = WRITES[name]
    before = use(folder, 0)
    outcomes = {"old": 0, "new": 0}
    line, wrong = 0, list[str]()
    while line < _MOST_LINES and killed_at(line, partial(use, folder, line + 1)):
        found = use(folder, None)
        outcomes["old" if found == before else "new"] += 1
        if found != before and str(line + 1) not in found:
            wrong.append(found)
        before, line = use(folder, None), line + 1
        # The next write would run through more lines for each of them, as long as they are young.
        for left_behind in [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")][1:]:
            left_behind.unlink()
    # Neither a lock nor a file that is left behind keeps the next one out.
    last = use(folder, 10_000)
    print(json.dumps({"lines": line, "wrong": wrong, "next": "10000" in last, **outcomes}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
