from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_core.reload.validation import END, frame, read_frame

PRELUDE = """
import os, sys
from gateway_core.cli.job_server import serve_jobs
out = os.fdopen(os.dup(1), "wb")
"""

Serve = Callable[..., list[tuple[list[bytes], int, str]]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Run a job server whose work is this code, on these jobs; return lines, status and text of each."""

    def run(code: str, *jobs: bytes) -> list[tuple[list[bytes], int, str]]:
        script = tmp_path / "server.py"
        body = "".join(f"    {line}\n" for line in code.splitlines())
        script.write_text(f"{PRELUDE}\ndef work(job, out):\n{body}\nserve_jobs(work, sys.stdin.buffer, out)\n")
        data = b"".join(frame(job) for job in jobs)
        done = subprocess.run([sys.executable, script], input=data, capture_output=True, check=True, env=os.environ)
        answers: list[tuple[list[bytes], int, str]] = []
        lines: list[bytes] = []
        for line in done.stdout.splitlines():
            if line.startswith(END):
                end = json.loads(line.removeprefix(END))
                answers.append((lines, end["status"], end["said"]))
                lines = []
            else:
                lines.append(line)
        assert lines == []
        return answers

    return run


def test_jobs_are_done_in_order_each_in_a_fresh_process(serve: Serve) -> None:
    code = "sys.count = getattr(sys, 'count', 0) + 1\nout.write(job + b'%d\\n' % sys.count)\nreturn 0"

    assert serve(code, b"a", b"b") == [([b"a1"], 0, ""), ([b"b1"], 0, "")]


def test_what_a_job_prints_does_not_get_between_the_lines(serve: Serve) -> None:
    code = "print('hello')\nos.system('echo there')\nout.write(b'line\\n')\nreturn 3"

    ((lines, status, said),) = serve(code, b"")

    assert (lines, status) == ([b"line"], 3)
    assert sorted(said.split()) == ["hello", "there"]


def test_a_job_that_fails_or_dies_is_told_and_the_next_one_is_done(serve: Serve) -> None:
    code = "if job == b'die': os.kill(os.getpid(), 9)\nif job == b'fail': raise SystemExit('no luck')\nreturn 0"

    died, failed, done = serve(code, b"die", b"fail", b"")

    assert died[1] == -9
    assert failed[1] == 1
    assert "no luck" in failed[2]
    assert done == ([], 0, "")


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_frame_survives_and_a_part_of_one_is_none(size: int) -> None:
    data = bytes(size)

    assert read_frame(io.BytesIO(frame(data))) == data
    assert read_frame(io.BytesIO(frame(data)[:-1])) is None
