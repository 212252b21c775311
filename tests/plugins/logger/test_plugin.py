from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest


async def test_writes_a_json_line_for_each_request_and_loses_none_at_stop(
    loggers: Any, make_event: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    logger = await loggers.start({"path": str(path)})

    for number in range(1000):
        logger.gateway_log(*make_event(f"/{number}"))
    await loggers.stop(logger)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["path"] for line in lines] == [f"/{number}" for number in range(1000)]
    assert loggers.counted("lines", sink=f"file:{path}") == 1000


async def test_a_single_line_is_written_without_a_stop(
    loggers: Any, make_event: Any, eventually: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    logger = await loggers.start({"sinks": [{"type": "file", "path": str(path), "flush_interval": "1ms"}]})

    logger.gateway_log(*make_event())

    await eventually(path.read_text)


async def test_a_burst_is_written_without_a_stop(
    loggers: Any, make_event: Any, eventually: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    logger = await loggers.start({"sinks": [{"type": "file", "path": str(path), "flush_interval": 0}]})

    for _ in range(200):
        logger.gateway_log(*make_event())

    await eventually(lambda: path.read_text().count("\n") == 200)


async def test_lines_that_come_one_by_one_are_written_each(
    loggers: Any, make_event: Any, eventually: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    logger = await loggers.start({"sinks": [{"type": "file", "path": str(path), "flush_interval": 0}]})

    for number in range(1, 4):
        logger.gateway_log(*make_event())

        await eventually(lambda number=number: path.read_text().count("\n") == number)


async def test_full_batches_need_no_timer_of_their_own(
    loggers: Any, make_event: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_later = loop.call_later
    logger = await loggers.start({"path": str(tmp_path / "access.log")})

    def counted(*given: Any) -> asyncio.TimerHandle:
        timers.append(call_later(*given))
        return timers[-1]

    monkeypatch.setattr(loop, "call_later", counted)

    for _ in range(500):
        logger.gateway_log(*make_event())

    assert len(timers) == 1
    await loggers.stop(logger)


async def test_lines_are_those_of_requests_as_they_were_whenever_lines_are_made(
    loggers: Any, make_event: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    logger = await loggers.start({"path": str(path), "fields": ["path", "status"]})

    for number in range(150):  # more than are kept, and than go out at once; the last ones are neither
        logger.gateway_log(*make_event(f"/{number}", status=200 + number))
    await loggers.stop(logger)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"path": f"/{number}", "status": 200 + number} for number in range(150)]


async def test_the_hook_makes_no_line_itself(loggers: Any, make_event: Any, tmp_path: Path) -> None:
    logger = await loggers.start({"path": str(tmp_path / "access.log")})

    class Explosive:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"the hook read {name}")

    logger.gateway_log(Explosive(), Explosive(), Explosive())

    await loggers.stop(logger)  # the line itself fails, and that is counted
    assert loggers.counted("dropped", sink="format", reason="failed") == 1


async def test_one_request_that_cannot_be_written_down_does_not_cost_the_others(
    loggers: Any, make_event: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    logger = await loggers.start({"path": str(path)})
    odd = make_event()
    odd.record.duration = "long"

    for event in (make_event("/1"), odd, make_event("/2")):
        logger.gateway_log(*event)
    await loggers.stop(logger)

    assert [json.loads(line)["path"] for line in path.read_text().splitlines()] == ["/1", "/2"]


async def test_a_file_that_cannot_be_opened_rejects_the_configuration(loggers: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot open .*missing/access.log' for the access log: No such file"):
        await loggers.start({"path": str(tmp_path / "missing" / "access.log")})


async def test_filters_decide_before_a_line_is_made(loggers: Any, make_event: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    config = {
        "path": str(path),
        "format": "{status} {path}",
        "skip": {"paths": ["/health"]},
        "only": {"statuses": ["5xx"], "slower_than": "1s"},
    }
    logger = await loggers.start(config)

    for target, status, duration in [("/health", 500, 0.1), ("/a", 200, 0.1), ("/b", 502, 0.1), ("/c", 200, 1.5)]:
        logger.gateway_log(*make_event(target, status=status, duration=duration))
    await loggers.stop(logger)

    assert path.read_text() == "502 /b\n200 /c\n"


async def test_several_sinks_each_get_every_line(loggers: Any, make_event: Any, tmp_path: Path) -> None:
    paths = [tmp_path / "a.log", tmp_path / "b.log"]
    logger = await loggers.start({"sinks": [{"type": "file", "path": str(path)} for path in paths]})

    logger.gateway_log(*make_event())
    await loggers.stop(logger)

    assert paths[0].read_text() == paths[1].read_text() != ""


async def test_bindings_that_write_to_one_file_share_it_and_the_last_closes_it(
    loggers: Any, make_event: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    one = await loggers.start({"path": str(path), "format": "one {path}"}, binding="one")
    two = await loggers.start({"path": str(path), "format": "two {path}"}, binding="two")

    one.gateway_log(*make_event("/1"))
    await loggers.stop(one)
    two.gateway_log(*make_event("/2"))
    await loggers.stop(two)

    assert path.read_text() == "one /1\ntwo /2\n"


async def test_sigusr1_opens_files_anew(loggers: Any, make_event: Any, eventually: Any, tmp_path: Path) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    logger = await loggers.start({"path": str(path), "format": "{path}"})
    path.rename(moved)

    os.kill(os.getpid(), signal.SIGUSR1)

    await eventually(path.exists)
    logger.gateway_log(*make_event("/after"))
    await loggers.stop(logger)
    assert (path.read_text(), moved.read_text()) == ("/after\n", "")


async def test_requests_after_the_stop_are_counted_as_lost_and_not_kept(
    loggers: Any, make_event: Any, tmp_path: Path
) -> None:
    logger = await loggers.start({"path": str(tmp_path / "access.log")})
    await loggers.stop(logger)

    logger.gateway_log(*make_event())

    assert loggers.counted("dropped", sink="format", reason="stopped") == 1


def test_lines_are_written_even_if_the_process_ends_without_stopping_its_plugins(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    program = f"""
        import asyncio, logging
        from gateway_plugin_sdk import Metrics, PluginContext, Record, Request, Response
        from gateway_plugin_logger import Logger
        from gateway_plugin_logger.config import LoggerConfig

        class Clock:
            def monotonic(self): return 1.0
            def wall(self): return 1.0

        async def main():
            config = LoggerConfig(path={str(path)!r}, format="{{path}}")
            logger = Logger(config, PluginContext("logger", None, Clock(), logging.getLogger(), Metrics()))
            await logger.start()
            logger.gateway_log(Request("GET", "/last"), Response(200), Record())

        asyncio.run(main())
    """

    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=30)

    assert path.read_text() == "/last\n"


def test_standard_output_takes_lines_of_several_processes_whole(tmp_path: Path) -> None:
    program = """
        import asyncio, logging, sys
        from gateway_plugin_sdk import Metrics, PluginContext, Record, Request, Response
        from gateway_plugin_logger import Logger
        from gateway_plugin_logger.config import LoggerConfig

        class Clock:
            def monotonic(self): return 1.0
            def wall(self): return 1.0

        async def main():
            config = LoggerConfig(format="{path}")
            logger = Logger(config, PluginContext("logger", None, Clock(), logging.getLogger(), Metrics()))
            await logger.start()
            for _ in range(3000):
                logger.gateway_log(Request("GET", "/" + sys.argv[1] * 99), Response(200), Record())
            await logger.stop()

        asyncio.run(main())
    """
    source = textwrap.dedent(program)

    reading, writing = os.pipe()
    processes = [subprocess.Popen([sys.executable, "-c", source, name], stdout=writing) for name in "ab"]
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()

    assert [process.wait(30) for process in processes] == [0, 0]
    assert sorted(lines) == ["/" + "a" * 99] * 3000 + ["/" + "b" * 99] * 3000
