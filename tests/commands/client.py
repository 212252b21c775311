"""Asks the process that forks commands for one, as a shell starts ``gateway``: with its streams, and for its status.

    client.py DESCRIPTOR ARGUMENTS...

The descriptor is the end of the socket that tests have to that process (`tests.commands.start.control`).
"""

from __future__ import annotations

import json
import os
import socket
import sys

control = socket.socket(fileno=int(sys.argv[1]))
reported, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
job = {
    "module": "gateway_core.cli",
    "arguments": sys.argv[2:],
    "environ": dict(os.environ),
    "directory": os.getcwd(),  # noqa: PTH109  # what pathlib imports takes longer than the rest
    "inside": None,
}
socket.send_fds(control, [json.dumps(job).encode()], [0, 1, 2, other.fileno()])
control.detach()
other.close()
reported.recv(100)  # its process
status = int(reported.recv(100))
os._exit(status if status >= 0 else 128 - status)
