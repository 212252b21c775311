from __future__ import annotations

import subprocess
import sys


def test_options_of_a_key_are_read_without_what_reads_the_key() -> None:
    """A gateway that has no such key does not pay for it in memory."""
    code = "import sys, gateway_tokens.client_key_options; print(*sorted({'jwt', 'cryptography'} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)

    assert done.stdout == "\n"
