"""What the command line costs before anything is served, as multiples of the imports that it cannot do without.

    python benchmarks/command_line.py
    python benchmarks/command_line.py --rounds 9

CPU is that of the process and all that it has started, user and system, the least of all rounds after one that
compiles the byte code. That of `gateway run` is what was used when it said that it is ready. Bars: `gateway --help`
twice the import of pydantic; of the imports of pydantic, aiohttp, jsonschema and prometheus_client, `gateway check` of
examples/minimal.yaml 1.4 times and `gateway run` of it 2 times. Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MINIMAL = str(Path(__file__).parents[1] / "examples" / "minimal.yaml")
LIBRARIES = "import pydantic, aiohttp, jsonschema, prometheus_client"
GATEWAY = (sys.executable, "-m", "gateway_core.cli")


def cpu_of(command: Sequence[str], folder: str, *, until: bytes = b"") -> float:
    """Return the CPU seconds of a command.

    :param folder: where byte code is kept.
    :param until: what its standard error says when it is ready: its CPU until then counts, and it is ended.
    """
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = folder
    before = os.times()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ)
    assert process.stderr is not None
    if until:
        for line in process.stderr:
            if until in line:
                used_until_ready = _used_by(process.pid)
                process.send_signal(signal.SIGTERM)
                break
    process.communicate()
    after = os.times()
    assert process.returncode == 0, command
    if until:
        return used_until_ready
    return after.children_user + after.children_system - before.children_user - before.children_system


def _used_by(pid: int) -> float:
    """Return the CPU seconds of a process, of its children that have ended, and of those that run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(_used_by(int(child)) for child in children)


def main() -> int:
    """Measure in turns and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    commands: dict[str, tuple[Sequence[str], bytes]] = {
        "pydantic": ((sys.executable, "-c", "import pydantic; pydantic.BaseModel"), b""),
        "libraries": ((sys.executable, "-c", LIBRARIES + "; pydantic.BaseModel"), b""),
        "help": ((*GATEWAY, "--help"), b""),
        "check": ((*GATEWAY, "check", MINIMAL), b""),
        "run": ((*GATEWAY, "run", "-c", MINIMAL), b"listening on"),
    }
    least = dict.fromkeys(commands, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, (command, until) in commands.items():
                used = cpu_of(command, folder, until=until)
                least[name] = min(least[name], used) if number else least[name]
    is_fine = True
    for name, base, bar in (("help", "pydantic", 2.0), ("check", "libraries", 1.4), ("run", "libraries", 2.0)):
        times = least[name] / least[base]
        is_fine = is_fine and times <= bar
        print(f"{name}: {least[name]:.2f} s of CPU, {times:.2f} times that of {base} ({least[base]:.2f} s), bar {bar}")
    return 0 if is_fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
