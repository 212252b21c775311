from __future__ import annotations

import resource
import subprocess
import sys

from gateway_core.descriptors import connections_for
from hypothesis import given
from hypothesis import strategies as st

RAISE = """
import resource
from gateway_core.descriptors import raise_descriptor_limit

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
raise_descriptor_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    told = subprocess.run([sys.executable, "-c", RAISE], check=True, capture_output=True, text=True)

    assert told.stdout == "(300, 300)\n"


@given(st.integers(0, 1 << 20))
def test_clients_get_most_descriptors_and_leave_some(descriptors: int) -> None:
    connections = connections_for(descriptors)

    assert connections >= 1
    if descriptors >= 256:
        assert descriptors // 2 < connections <= descriptors - descriptors // 4


def test_without_a_limit_of_descriptors_there_is_a_number_all_the_same() -> None:
    assert connections_for(resource.RLIM_INFINITY) == 1 << 20
