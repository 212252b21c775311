"""What plugins have in common in all workers of a gateway: values, commands, and a folder.

* *Values*: the supervisor has them, and workers ask for them over their channels (`RemoteShared`, `apply_message`). A
  worker that dies loses nothing. Calls of one worker are applied in the order in which it sent them. When SIGUSR2
  replaces the program the values go on with it (`to_plain`, `from_plain`); calls that come meanwhile wait in the
  channel.
* *Commands* run in every worker, for operators and for plugins (`CommandReport`).
* *A folder* in memory is named by the environment variable ``GATEWAY_SHARED_DIR``; the counters of a rate limit are in
  it. It outlives workers and, as the variable is inherited and the process stays, programs that SIGUSR2 replaces. A
  gateway that was killed leaves its folder behind, and the next one removes it. Whether its owner lives is shown by a
  lock on a file in it, not by a process id: containers that share ``/dev/shm`` do not see each other's processes, and
  what looks like a dead one may be serving. The kernel drops the lock with the last process that holds it; workers and
  programs that replace this one inherit it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gateway_core.hooks import CommandError, CommandOutcome, SharedCall, SharedResult, SharedStoreFull, SharedStores
from gateway_core.process.channel import Channel, Message, error_fields

SHARED: Final = "shared"
"""Kind of the message that is one operation on a shared value."""

COMMAND: Final = "command"
"""Kind of the message that has a worker run a command."""

EVERYWHERE: Final = "everywhere"
"""Kind of the message by which a worker asks the supervisor to run a command in all workers."""


class RemoteShared:
    """Values in the process at the other end of a channel, a `gateway_core.hooks.SharedBackend`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def call(self, call: SharedCall) -> SharedResult:
        """Do what a call says.

        :raises SharedStoreFull: there is no room.
        :raises ValueError: the value is not a number.
        :raises GatewayError: the supervisor is gone.
        """
        _, operation, key, value, by, ttl = call
        reply = await self._channel.call(SHARED, value, owner=call.owner, operation=operation, key=key, by=by, ttl=ttl)
        if reply["is_bytes"]:
            return reply.body
        result: SharedResult = reply["result"]
        return result


def apply_message(stores: SharedStores, message: Message, now: float) -> tuple[dict[str, Any], bytes]:
    """Do what a worker's message says; return fields and body of the reply."""
    call = SharedCall(
        message["owner"], message["operation"], message["key"], message.body, message["by"], message["ttl"]
    )
    try:
        result = stores.apply(call, now)
    except (SharedStoreFull, ValueError) as error:
        return error_fields(error), b""
    if isinstance(result, bytes):
        return {"is_bytes": True}, result
    return {"is_bytes": False, "result": result}, b""


def to_plain(stores: SharedStores, now: float) -> list[Any]:
    """Return all values as JSON has them, for the program that takes over."""
    return [
        [owner, [[key, base64.b64encode(value).decode(), ttl] for key, value, ttl in items]]
        for owner, items in stores.dump(now)
    ]


def from_plain(plain: Sequence[Any], stores: SharedStores, now: float) -> None:
    """Undo `to_plain`."""
    stores.load(
        ((owner, [(key, base64.b64decode(value), ttl) for key, value, ttl in items]) for owner, items in plain), now
    )


class RunsCommands(Protocol):
    """Runs a command in every worker."""

    async def __call__(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Return what became of it in each."""
        ...


@dataclass(frozen=True, slots=True)
class CommandReport:
    """What became of a command in each worker, in the order of their numbers."""

    outcomes: Sequence[tuple[int, CommandOutcome]]
    """One for each instance of the binding, with the number of its worker."""

    @property
    def status(self) -> int:
        """The HTTP status: 200, 404 for an unknown binding or command, 422 for wrong arguments, 500 for a failure."""
        kinds = {outcome.kind for _, outcome in self.outcomes}
        if kinds == {"done"}:
            return 200
        if kinds and kinds <= {"unknown"}:
            return 404
        if kinds and kinds <= {"unknown", "refused"}:
            return 422
        return 500 if self.outcomes else 503

    def entries(self) -> list[dict[str, Any]]:
        """Return the result or the error of each instance, ready for JSON."""
        return [
            {"worker": number, "result": outcome.result}
            if outcome.kind == "done"
            else {"worker": number, "error": outcome.error}
            for number, outcome in self.outcomes
        ]

    def results(self) -> list[Any]:
        """Return the result of each instance.

        :raises CommandError: one has none.
        """
        errors = {outcome.error: number for number, outcome in self.outcomes if outcome.kind != "done"}
        if errors:
            each = (f"worker {number}: {text}" for text, number in errors.items())
            raise CommandError("; ".join(each))
        if not self.outcomes:
            raise CommandError("no worker serves")
        return [outcome.result for _, outcome in self.outcomes]


async def outcomes_of(running: Awaitable[Sequence[Mapping[str, Any]]], number: int) -> list[tuple[int, CommandOutcome]]:
    """Await a worker's reply; one that is gone has failed."""
    try:
        outcomes = await running
    except Exception as error:  # noqa: BLE001 - whatever becomes of a worker is its outcome
        return [(number, CommandOutcome("failed", error=f"the worker ended or did not reply: {error}"))]
    return [(number, CommandOutcome(**plain)) for plain in outcomes]


def outcome_to_plain(outcome: CommandOutcome) -> dict[str, Any]:
    """Return an outcome for a message; ``CommandOutcome(**plain)`` undoes it."""
    return asdict(outcome)


FOLDER_VARIABLE: Final = "GATEWAY_SHARED_DIR"

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it, for us alone
_OURS: Final = re.compile(r"gateway-([0-9]+)-[a-z0-9_]+")
_LOCK: Final = ".lock"


def provide_folder() -> Path:
    """Make the folder unless there is one already, and name it in the environment.

    :raises OSError: it cannot be made.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named and Path(named).is_dir():
        return Path(named)
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_orphans(parent)
    folder = _make_folder(parent)
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def remove_folder() -> None:
    """Remove the folder if this process made it, rather than the one that started it."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, ""))
    owner = _OURS.fullmatch(folder.name)
    if owner is not None and int(owner[1]) == os.getpid():
        del os.environ[FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder(parent: Path) -> Path:
    """Make a locked folder; it gets the name by which others look for it only once the lock is held."""
    hidden = Path(tempfile.mkdtemp(prefix=f".gateway-{os.getpid()}-", dir=parent))
    descriptor = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)  # held for as long as this process or one that it became
    return hidden.rename(parent / hidden.name.removeprefix("."))


def _remove_orphans(parent: Path) -> None:
    """Remove what gateways left that were killed."""
    for folder in parent.glob("gateway-*"):
        if _OURS.fullmatch(folder.name) is not None:
            with contextlib.suppress(OSError):
                _remove_orphan(folder)


def _remove_orphan(folder: Path) -> None:
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return
    # A folder without a lock file is another version's, whose owner may be alive: it stays.
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
