"""Whether memory grows: mixed traffic, with another configuration every two seconds.

    python benchmarks/growth.py --minutes 20 [--workers 1] [--plugins] [--every 2] [--seed 5]

wrk sends traffic that does not repeat (see `traffic.py`) all the time; a file is edited as operators do it, by a new
file in its place, and each edit adds, changes and removes a route. Memory is that of the whole process tree, with what
starts for a moment to check an edit left out. The first fifth is left out as well: caches fill. What counts is the
slope of the rest, and that every edit came into force. nginx and wrk are needed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import traffic  # type: ignore[import-not-found]  # a neighbour, as scripts import it
from contestants import Bench, Running, free_port, running  # type: ignore[import-not-found]  # likewise

SAMPLES_AT_ONCE = 5
PATIENCE = 30.0


def lowest_rss(contestant: Running) -> float:
    """Return the memory in MiB without processes that live for a moment."""
    found = list[float]()
    for _ in range(SAMPLES_AT_ONCE):
        found.append(contestant.rss_mib())
        time.sleep(0.05)
    return min(found)


def edit(file: Path, text: str, number: int) -> None:
    """Put the next configuration in its place."""
    routes = "".join(
        f'  - {{id: edit-{each}, path: /edits/{each}, redirect: {{path: "/is/{number}"}}}}\n'
        for each in range(number, number + 3)
    )
    new = file.with_suffix(".new")
    new.write_text(text.replace("routes: [", "routes:\n" + routes + "  - ").replace("target: u}]", "target: u}"))
    new.rename(file)


def is_in_force(port: int, number: int) -> bool:
    """Tell whether a configuration is in force."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        token = {"Authorization": f"Bearer {traffic.token(1)}"}  # without the plugins nothing looks at it
        connection.request("GET", f"/edits/{number + 2}", headers=token)
        return (connection.getresponse().getheader("Location") or "").endswith(f"/is/{number}")
    finally:
        connection.close()


def slope(samples: list[tuple[float, float]]) -> float:
    """Return KiB a minute, by least squares."""
    (gain, _) = statistics.linear_regression([at for at, _ in samples], [rss for _, rss in samples])
    return gain * 1024 * 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--plugins", action="store_true")
    parser.add_argument("--every", type=float, default=2)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    scenario = "mixedfull" if arguments.plugins else "mixed"
    print(f"{sys.executable} {sys.version.split()[0]}, {scenario}, workers {arguments.workers}, {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        script = folder / "load.lua"
        script.write_text(traffic.lua(scenario, arguments.seed))
        bench = Bench(folder, stack.enter_context(traffic.upstream(folder, slow=False)), "")
        port, file = free_port(), folder / "gateway.yaml"
        command = traffic.command(bench, "gateway", port, scenario)
        text = file.read_text().replace("workers: 1\n", f"workers: {arguments.workers}\n")
        edit(file, text, 0)
        contestant = stack.enter_context(running(command, port))
        seconds = arguments.minutes * 60
        url = f"http://127.0.0.1:{port}/api/users/123"
        load = ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds + 60:.0f}s", "-s", str(script), url]
        wrk = subprocess.Popen(load, stdout=subprocess.PIPE, text=True)
        stack.callback(wrk.kill)
        begun, number, longest, samples = time.monotonic(), 0, 0.0, list[tuple[float, float]]()
        while (passed := time.monotonic() - begun) < seconds:
            number += 1
            edit(file, text, number)
            saved = time.monotonic()
            while not is_in_force(port, number):
                if time.monotonic() - saved > PATIENCE:
                    raise SystemExit(f"edit {number} did not come into force")
                time.sleep(0.05)
            longest = max(longest, time.monotonic() - saved)
            time.sleep(max(0.0, saved + arguments.every - time.monotonic()))
            samples.append((passed, lowest_rss(contestant)))
            if number % 15 == 1:
                print(f"  {passed:5.0f} s  {samples[-1][1]:6.1f} MiB  {number} edits", flush=True)
        wrk.terminate()
        out = wrk.communicate()[0]
        if wrong := re.search(r"Non-2xx.*|Socket errors.*", out):
            print(f"  {wrong[0]}")
    counted = [each for each in samples if each[0] >= seconds / 5]
    first, last = (statistics.median(rss for _, rss in part) for part in (counted[:10], counted[-10:]))
    print(f"{number} edits, the longest in force after {longest:.1f} s")
    print(f"{first:.1f} MiB after a fifth, {last:.1f} MiB at the end, slope {slope(counted):+.1f} KiB a minute")


if __name__ == "__main__":
    main()
