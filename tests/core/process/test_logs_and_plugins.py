"""What plugins do to loggers and handlers, and what the log makes of it."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
from gateway_core.config import LogConfig
from gateway_core.process import logs

from tests.core.process.test_logs import restored

__all__ = ["restored"]


def disable_all() -> None:
    logging.disable(logging.CRITICAL)


def configure_from_a_dictionary() -> None:
    logging.config.dictConfig({"version": 1})


def remove_the_handlers() -> None:
    logging.getLogger("gateway").handlers[:] = [logging.NullHandler()]


def raise_the_level() -> None:
    logging.getLogger("gateway").setLevel(logging.CRITICAL)


def raise_the_level_of_a_part() -> None:
    logging.getLogger("gateway.config").setLevel(logging.CRITICAL)


def raise_the_level_of_the_handlers() -> None:
    for handler in logging.getLogger("gateway").handlers:
        handler.setLevel(logging.CRITICAL)


def filter_all() -> None:
    logging.getLogger("gateway.config").addFilter(lambda _: False)


def filter_in_the_handlers() -> None:
    for handler in logging.getLogger("gateway").handlers:
        handler.addFilter(lambda _: False)


@pytest.mark.parametrize(
    "take_away",
    [
        disable_all,
        configure_from_a_dictionary,
        remove_the_handlers,
        raise_the_level,
        raise_the_level_of_a_part,
        raise_the_level_of_the_handlers,
        filter_all,
        filter_in_the_handlers,
    ],
)
def test_a_log_that_a_plugin_took_away_is_brought_back(
    take_away: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogConfig(format="json"), process="worker 1")
    logging.getLogger("gateway.config").info("before")
    take_away()
    logging.getLogger("gateway.config").error("lost")

    logs.restore()
    logging.getLogger("gateway.config").error("found")

    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    texts = [each["message"] for each in told]
    assert "lost" not in texts
    assert texts[-1] == "found"
    assert "a plugin changed the gateway's log" in texts[-2]
    assert told[-1]["process"] == "worker 1"


def configure_the_root() -> None:
    logging.basicConfig(level=logging.DEBUG, force=True)


def format_in_another_way() -> None:
    for handler in logging.getLogger("gateway").handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))


def silence_libraries() -> None:
    logging.getLogger().setLevel(logging.CRITICAL)


@pytest.mark.parametrize("change", [configure_the_root, format_in_another_way, silence_libraries])
def test_lines_of_libraries_have_the_form_and_the_level_of_the_log_whatever_a_plugin_does(
    change: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogConfig(format="json"))
    change()

    logs.restore()
    logging.getLogger("library").debug("not wanted")
    logging.getLogger("library").warning("found")

    told = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert "a plugin changed the gateway's log" in told[0]
    assert told[1:] == ["found"]


def test_a_dictionary_of_one_plugin_silences_no_library_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    library = logging.getLogger("library")
    configure_from_a_dictionary()
    assert library.disabled

    logs.restore()
    library.warning("found")

    assert capsys.readouterr().err.endswith("warning library: found\n")


def test_a_plugin_decides_about_its_own_logger(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("gateway.plugin.zoo").setLevel(logging.ERROR)
    try:
        logs.restore()

        assert capsys.readouterr().err == ""
    finally:
        logging.getLogger("gateway.plugin.zoo").setLevel(logging.NOTSET)


def test_what_ends_a_thread_or_a_finalizer_is_a_line_of_the_log() -> None:
    script = textwrap.dedent("""
        import threading
        from gateway_core.config import LogConfig
        from gateway_core.process import logs

        class Odd:
            def __del__(self):
                raise RuntimeError("in a finalizer")

        def fail():
            raise ValueError("in a thread")

        logs.configure(LogConfig(format="json"))
        Odd()
        for work in (fail, lambda: exit(1)):
            thread = threading.Thread(target=work, name="worker of a plugin")
            thread.start()
            thread.join()
    """)

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=True)

    finalizer, thread = [json.loads(line) for line in done.stderr.splitlines()]
    assert (finalizer["logger"], finalizer["level"]) == ("py.unraisable", "error")
    assert "RuntimeError: in a finalizer" in finalizer["exception"]
    assert thread["message"] == "the thread 'worker of a plugin' ended by an exception"
    assert "ValueError: in a thread" in thread["exception"]
