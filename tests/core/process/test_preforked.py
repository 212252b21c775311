from __future__ import annotations

import subprocess
import sys

# A process of its own: only one without threads may fork.
PROGRAM = """
import asyncio, os, socket, sys
from gateway_core.clock import SystemClock
from gateway_core.process.preforked import fork_workers
from gateway_core.process.worker_handle import WorkerHandle, WorkerServices

listener = socket.create_server(("127.0.0.1", 0))
secret = open(sys.executable)
first, second, third = fork_workers(3, [listener.fileno()])

async def main():
    worker = await WorkerHandle.fill(1, second, {"a:1": listener.fileno()}, WorkerServices(SystemClock()))
    status = await worker.ask("status", "status")
    print(status["status"]["version"])
    open_there = os.listdir(f"/proc/{second.pid}/fd")
    its = [os.readlink(f"/proc/{second.pid}/fd/{number}") for number in open_there]
    print(os.path.realpath(sys.executable) in its, os.readlink(f"/proc/self/fd/{listener.fileno()}") in its)
    # Nobody else holds its channel: it ends although the others are there.
    first.sock.close()
    print(os.waitpid(first.pid, 0)[1])
    await worker.drain(1)
    print(worker.exit_status)

asyncio.run(main())
third.sock.close()
print(os.waitpid(third.pid, 0)[1])
"""


def test_a_forked_worker_serves_and_has_only_what_is_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout.splitlines(), done.stderr) == (["None", "False True", "0", "0", "0"], "")
