from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.core.process.certificates import make, trusting_all
from tests.core.process.test_gateway_acceptor import GET, config

# Accepts on asyncio without TLS as well, with few descriptors left, and says on stdout where.
OUT_OF_DESCRIPTORS = """
import os, resource, sys
from gateway_core.testing import RunningGateway, eventually

with RunningGateway(sys.stdin.read()) as gateway:
    number = max(int(each) for each in os.listdir("/proc/self/fd")) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 20, number + 20))
    print(gateway.port, flush=True)
    eventually(lambda: gateway.logs)
    print("short", flush=True)
    os.read(0, 1)
    print([record.getMessage() for record in gateway.logs], file=sys.stderr)
"""


@pytest.mark.parametrize("tls", [False, True])
def test_running_out_of_descriptors_is_told_once_and_ends_with_its_cause(tmp_path: Path, tls: bool) -> None:
    text = config(make(tmp_path, "a")) if tls else "routes: [{id: all, path: /nowhere, target: 'http://127.0.0.1:1'}]\n"
    (tmp_path / "config.yaml").write_text(text)
    script = OUT_OF_DESCRIPTORS.replace("sys.stdin.read()", f"open({str(tmp_path / 'config.yaml')!r}).read()")
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        port = int(process.stdout.readline())
        many = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(60)]
        assert process.stdout.readline() == b"short\n"
        for sock in many:
            sock.close()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, ExitStack() as stack:
            client = stack.enter_context(trusting_all().wrap_socket(plain)) if tls else plain
            client.sendall(GET)
            assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
        process.stdin.close()
        process.wait()
        assert process.stderr is not None
        told = process.stderr.read().decode()

    assert "Traceback" not in told
    assert told.count("connections cannot be accepted") == 1
