"""Validate a configuration in another process, so that neither parsing nor plugin code disturbs this one.

The other process is ``gateway check --canonical``. It reads jobs (paths and documents as JSON, after their length) from
its standard input, and answers each on its standard output in lines of JSON: a head that says whether the configuration
is good, then either its problems or the canonical document, one route a line, and an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from gateway_core.config import ConfigProblem, Document, problem_from_json, problem_to_json
from gateway_core.config.sources import WatchSet
from gateway_core.config.sources.last_good import from_plain, to_plain
from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError
from gateway_core.reload.bundle import ConfigBundle

VALIDATION_TIMEOUT: Final = 120.0
END: Final = b"end "
"""Begins the line after a verdict; all others are JSON documents."""

NOTE: Final = b"note "
"""Begins a line that says what is being done, for when it does not come to an end."""

_LONGEST_LINE: Final = 256 << 20
_MOST_ERROR_TEXT: Final = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the validating process said: either ``bundle`` is there, or ``problems`` are."""

    watch: WatchSet
    bundle: ConfigBundle | None = None
    problems: tuple[ConfigProblem, ...] = ()


class ValidationFailedError(GatewayError):
    """The validating process did not come to a verdict."""


class ValidationHungError(ValidationFailedError):
    """The validating process did not come to an end."""


class ValidationNotStartedError(ValidationFailedError):
    """There is no validating process, for reasons that say nothing of the configuration."""


def verdict_lines(verdict: Verdict) -> Iterator[bytes]:
    """Write a verdict as the validating process prints it."""
    files = sorted(str(path) for path in verdict.watch.files)
    directories = sorted(str(path) for path in verdict.watch.directories)
    head: dict[str, Any] = {"files": files, "directories": directories}
    if verdict.bundle is None:
        yield json.dumps({**head, "problems": [problem_to_json(p) for p in verdict.problems]}).encode()
        return
    bundle = verdict.bundle
    told = {
        "version": bundle.version,
        "workers": bundle.workers,
        "plugins": dict(bundle.plugins),
        "protocol": bundle.protocol,
    }
    yield json.dumps({**head, **told, "lines": len(bundle.lines)}).encode()
    yield from bundle.lines


def read_verdict(lines: Sequence[bytes]) -> Verdict:
    """Undo `verdict_lines`.

    :raises ValueError: something is missing or garbled.
    """
    if not lines:
        raise ValueError("no output")
    head = json.loads(lines[0])
    watch = WatchSet.of(head["files"], head["directories"])
    if "problems" in head:
        return Verdict(watch, problems=tuple(problem_from_json(entry) for entry in head["problems"]))
    if head["lines"] != len(lines) - 1:
        raise ValueError(f"{len(lines) - 1} lines of {head['lines']}")
    return Verdict(
        watch,
        ConfigBundle(head["version"], tuple(lines[1:]), head["workers"], head["plugins"], head.get("protocol", 0)),
    )


def check_command() -> list[str]:
    """Return the command line of the validating process."""
    return [sys.executable, "-m", "gateway_core.cli", "check", "--canonical"]


async def validate(
    paths: Sequence[Path],
    documents: Sequence[Document] = (),
    *,
    timeout: float = VALIDATION_TIMEOUT,  # noqa: ASYNC109  # the process's, not ours
) -> Verdict:
    """Validate the configuration at these paths and in these documents of sources.

    :raises ValidationFailedError: the process crashed, hung or talked nonsense.
    """
    process = await launch()
    try:
        return await judge(process, paths, documents, timeout=timeout)
    finally:
        await end(process)


async def launch() -> asyncio.subprocess.Process:
    """Start a validating process; it waits for jobs, and ends by itself when this process does.

    :raises ValidationNotStartedError: the system has no process, memory or descriptors for it.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *check_command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # it ends with its children, and not by a Ctrl-C that is for this process
        )
    except OSError as error:
        # uvloop's error for a lack of descriptors has the number -1 and no words of its own.
        why = (error.strerror or str(error)).lower() if error.errno in EXHAUSTED else str(error).lower()
        raise ValidationNotStartedError(f"the validating process cannot be started: {why}") from error


async def judge(
    process: asyncio.subprocess.Process,
    paths: Sequence[Path],
    documents: Sequence[Document] = (),
    *,
    timeout: float = VALIDATION_TIMEOUT,  # noqa: ASYNC109  # the process's, not ours
) -> Verdict:
    """Give a process that was launched a job, and return what it says; it is ready for the next one then.

    :raises ValidationFailedError: the process crashed, hung or talked nonsense: end it.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    notes: list[str] = []
    try:
        async with asyncio.timeout(timeout):
            # A process that ended early says why on its own streams.
            with contextlib.suppress(ConnectionError):
                process.stdin.write(frame(write_job(paths, documents)))
                await process.stdin.drain()
            lines, ending = await _answer(process.stdout, notes)
            status, said = await _last_words(process) if ending is None else (ending["status"], ending["said"])
    except TimeoutError:
        doing = f" while {notes[-1]}" if notes else ""
        raise ValidationHungError(f"validation did not end within {timeout:g} seconds and was stopped{doing}") from None
    try:
        return read_verdict(lines)
    except (ValueError, KeyError, TypeError) as error:
        text = str(said).strip()[-_MOST_ERROR_TEXT:] or "it said nothing"
        text = f"{text}; it ended while {notes[-1]}" if notes else text
        raise ValidationFailedError(f"validation ended with status {status} and no verdict ({error}): {text}") from None


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process and its children if it still runs, and wait for its end."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def frame(data: bytes) -> bytes:
    """Put the length before a job."""
    return len(data).to_bytes(8, "big") + data


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read what `frame` made; None at the end of the stream, or if it breaks off. Blocks."""
    size = stream.read(8)
    if len(size) < 8:
        return None
    data = stream.read(int.from_bytes(size, "big"))
    return data if len(data) == int.from_bytes(size, "big") else None


def write_job(paths: Sequence[Path], documents: Sequence[Document]) -> bytes:
    """Write a job for a validating process."""
    job = {"paths": [str(path) for path in paths], "documents": [_job_document(each) for each in documents]}
    return json.dumps(job).encode()


def read_job(data: bytes) -> tuple[tuple[Path, ...], tuple[Document, ...]]:
    """Undo `write_job`.

    :raises ValueError: it is no job.
    """
    job = json.loads(data)
    documents = [replace(from_plain(each), rights=frozenset(each["rights"])) for each in job["documents"]]
    return tuple(Path(path) for path in job["paths"]), tuple(documents)


def _job_document(document: Document) -> dict[str, Any]:
    return {**to_plain(document), "rights": sorted(document.rights)}


async def _answer(stream: asyncio.StreamReader, notes: list[str]) -> tuple[list[bytes], dict[str, Any] | None]:
    """Read the lines of a verdict and what ends it; None if the process ended instead.

    One line at a time, so that a long document is never one long copy.
    """
    lines: list[bytes] = []
    async for line in stream:
        if line.startswith(END):
            ending: dict[str, Any] = json.loads(line.removeprefix(END))
            return lines, ending
        if line.startswith(NOTE):
            notes.append(line.removeprefix(NOTE).decode().rstrip())
            continue
        lines.append(line.rstrip(b"\n"))
    return lines, None


async def _last_words(process: asyncio.subprocess.Process) -> tuple[int, str]:
    assert process.stderr is not None
    said = await process.stderr.read()
    return await process.wait(), said.decode(errors="replace")
