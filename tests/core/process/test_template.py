"""Workers that are forked from a process of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_core.process.channel import Message
from gateway_core.process.child import WORKER, Child, Forked
from gateway_core.process.template import PATIENCE, Template
from gateway_core.tasks import spawn

from tests.following import eventually

SERVES = """
import socket, sys
from gateway_core.process import template
from gateway_core.process.roles import become
template.serve(socket.socket(fileno=int(sys.argv[1])), become)
"""


async def begin(stamp: list[tuple[str, int]], patience: float = PATIENCE) -> Template:
    """Start a template in an interpreter, as this process has threads."""
    ours, theirs = socket.socketpair()
    with theirs:
        arguments = [sys.executable, "-c", SERVES, str(theirs.fileno())]
        process = await asyncio.to_thread(subprocess.Popen, arguments, pass_fds=(theirs.fileno(),))
    forked = Forked(process.pid, ours, reap=lambda: asyncio.to_thread(process.wait))
    return Template(forked, stamp=lambda: tuple(stamp), environ=dict(os.environ), patience=patience)


@pytest.fixture
async def stamp() -> list[tuple[str, int]]:
    return [("site-packages", 1)]


@pytest.fixture
async def template(stamp: list[tuple[str, int]]) -> AsyncIterator[Template]:
    template = await begin(stamp)
    yield template
    await template.aclose()


async def worker_of(template: Template, listeners: dict[str, int] | None = None) -> tuple[Child, dict[str, int]]:
    forked = await template.fork(WORKER, 0, listeners or {})
    assert forked is not None
    child = await Child.take("worker 0", forked[0])
    child.listen(ignore)
    return child, dict(forked[1])


async def ignore(_message: Message) -> None:
    """Ignore the worker's messages."""


async def greet(child: Child, listeners: dict[str, int]) -> None:
    """Give a worker its listening sockets, and check that it replies."""
    await child.channel.send("hello", listeners=listeners, number=0, is_watched=False)
    reply = await child.call("metrics", timeout=40)
    assert reply.body


async def test_a_worker_has_its_channel_and_its_listening_sockets(template: Template) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        child, listeners = await worker_of(template, {"here": listening.fileno()})
        await greet(child, listeners)

    with socket.create_connection(address, 20):  # its copy is open still
        pass
    await child.end()


async def test_how_a_worker_ended_is_known(template: Template) -> None:
    child, listeners = await worker_of(template)
    await greet(child, listeners)

    os.kill(child.pid, signal.SIGKILL)

    await asyncio.wait_for(child.gone.wait(), 30)
    assert child.exit_status == -signal.SIGKILL


async def test_workers_go_on_without_the_template(template: Template) -> None:
    child, listeners = await worker_of(template)
    await template.aclose()

    await greet(child, listeners)
    assert await template.fork(WORKER, 1, {}) is None

    await child.end()
    assert child.exit_status is None  # nothing can tell


async def test_a_template_that_died_is_done_without(template: Template) -> None:
    forked = template._forked
    os.kill(forked.pid, signal.SIGKILL)
    await asyncio.to_thread(forked.wait)

    assert await template.fork(WORKER, 0, {}) is None
    assert await template.fork(WORKER, 0, {}) is None


async def test_a_template_that_does_not_respond_is_done_without_and_ended(stamp: list[tuple[str, int]]) -> None:
    template = await begin(stamp, patience=0.5)
    os.kill(template._forked.pid, signal.SIGSTOP)

    assert await template.fork(WORKER, 0, {}) is None
    assert await template.fork(WORKER, 0, {}) is None

    with pytest.raises(ProcessLookupError):
        os.kill(template._forked.pid, 0)


async def test_a_worker_that_ends_holds_nothing_up_while_the_template_does_not_say_how(template: Template) -> None:
    child, _ = await worker_of(template)
    os.kill(template._forked.pid, signal.SIGSTOP)

    child.kill()

    await asyncio.wait_for(child.gone.wait(), 30)
    assert child.exit_status is None
    os.kill(template._forked.pid, signal.SIGCONT)
    other, listeners = await worker_of(template)  # each reply belongs to its order
    await greet(other, listeners)
    await other.end()
    assert other.exit_status == -signal.SIGKILL


async def test_a_template_that_is_stopped_ends_with_the_program(template: Template) -> None:
    os.kill(template._forked.pid, signal.SIGSTOP)

    await asyncio.wait_for(template.aclose(), 30)


async def test_nothing_is_forked_from_libraries_of_before_an_installation(
    template: Template, stamp: list[tuple[str, int]]
) -> None:
    stamp.append(("more", 2))

    assert await template.fork(WORKER, 0, {}) is None


async def test_a_worker_ends_with_its_channel_and_not_with_its_template(template: Template) -> None:
    child, _ = await worker_of(template)

    child.channel.close()

    await asyncio.wait_for(child.gone.wait(), 30)
    await child.end()


async def give_up_a_fork(template: Template) -> asyncio.Task[object]:
    """Order a worker while the template stands still, give the order up, and have the template go on."""
    pid = template._forked.pid
    os.kill(pid, signal.SIGSTOP)
    forking: asyncio.Task[object] = spawn(template.fork(WORKER, 0, {}), name="fork")
    await eventually(template._turn.locked)
    forking.cancel()
    await asyncio.wait({forking})
    return forking


async def test_a_template_ends_while_an_order_that_was_given_up_waits_for_its_reply(template: Template) -> None:
    forking = await give_up_a_fork(template)
    ending = spawn(template.aclose(), name="end")
    await asyncio.sleep(0)

    os.kill(template._forked.pid, signal.SIGCONT)

    await asyncio.wait_for(ending, 60)
    assert forking.cancelled()


async def test_a_worker_whose_order_was_given_up_ends(template: Template) -> None:
    forking = await give_up_a_fork(template)  # kept, with the error and its frames
    pid = template._forked.pid
    os.kill(pid, signal.SIGCONT)

    await eventually(lambda: states_of_children(pid) == {"Z"})
    assert forking.cancelled()


def states_of_children(pid: int) -> set[str]:
    """Return the states of the processes that one has forked, such as ``Z`` for those that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2][0] for child in children}
