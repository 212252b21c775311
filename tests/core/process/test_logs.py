from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from gateway_core.config import LogConfig
from gateway_core.events import REQUEST_FAILED, emit
from gateway_core.process import logs


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (logs.ROOT, "", "aiohttp", "asyncio", "watchfiles", "library")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    monkeypatch.setattr(logs, "_current", type(logs._current)())
    monkeypatch.setenv("GATEWAY_LOG", "")
    yield
    for logger in loggers:
        logger.disabled = False
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    logging.captureWarnings(False)


def test_text_names_the_process_when_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(process="worker 2")

    logging.getLogger("gateway.config").warning("watch out")

    assert capsys.readouterr().err.endswith("warning gateway.config[worker 2]: watch out\n")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="json"))

    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("gateway.config").exception("it went\nwrong")

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == ("error", "gateway.config", "it went\nwrong")
    assert "ValueError: odd" in event["exception"]


def test_the_level_decides_and_may_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(level="error"))
    logging.getLogger("gateway.x").warning("first")
    logs.configure(LogConfig(level="debug"))
    logging.getLogger("gateway.x").debug("second")

    told = capsys.readouterr().err
    assert "first" not in told
    assert told.count("second") == 1


def test_loggers_of_libraries_write_in_the_same_form_and_at_the_same_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="json", level="info"))

    logging.getLogger("library.deep").info("connected")
    logging.getLogger("library").debug("not asked for")
    logging.warning("of the root itself")

    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["logger"], each["level"], each["message"]) for each in events] == [
        ("library.deep", "info", "connected"),
        ("root", "warning", "of the root itself"),
    ]


def test_warnings_are_events_too(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure(LogConfig(format="json"))
        warnings.warn("old\nway", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["logger"], event["level"]) == ("py.warnings", "warning")
    assert "old\nway" in event["message"]


def test_an_event_is_written_once_whatever_is_configured_again(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        logs.configure(LogConfig(format="json"))

    logging.getLogger("library").error("once")
    logging.getLogger("gateway.config").error("once")

    assert len(capsys.readouterr().err.splitlines()) == 2


def test_nothing_makes_an_event_two_lines_or_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger().handlers.clear()  # pytest's own do not take what follows
    logs.configure(LogConfig(format="json"))

    logging.getLogger("library").error("%d of %s", "no number")  # noqa: PLE1206 - the case
    logging.getLogger("library").error("a\u2028b\x85c\ud800\x1b[31m", stack_info=True)
    logging.getLogger("library").error(object())

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert [json.loads(line)["level"] for line in lines] == ["error"] * 3


def test_writes_beside_the_configuration_are_no_events(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()

    logging.getLogger("watchfiles.main").info("1 change detected")

    assert capsys.readouterr().err == ""


def test_a_log_that_is_as_it_was_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()

    logs.restore()

    assert capsys.readouterr().err == ""


def test_a_log_that_was_never_configured_here_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("gateway").handlers[:] = [logging.NullHandler()]

    logs.restore()

    assert [type(handler) for handler in logging.getLogger("gateway").handlers] == [logging.NullHandler]
    assert not caplog.records


def test_nothing_in_a_record_begins_a_line_of_its_own_or_changes_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z error gateway.config: forged \x1b[31m")
    except ValueError as error:
        emit(REQUEST_FAILED, "bad \x1b]0;title\x07 \x00 \u2028 \x9b", details="one\ntwo", error=error)

    first, *more = capsys.readouterr().err.splitlines()
    assert first.endswith(r"bad \x1b]0;title\x07 \x00 \u2028 \x9b")
    assert more[:2] == ["  one", "  two"]
    assert [line for line in more if not line.startswith("  ")] == []
    assert "\x1b" not in "".join(more)


def test_times_are_in_utc_in_both_formats(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("gateway.x", logging.INFO, "", 0, "text", None, None)
    record.created = 1_800_000_000.25

    assert logs.TextFormatter().format(record) == "2027-01-15T08:00:00.250Z info gateway.x: text"
    assert json.loads(logs.JsonFormatter().format(record))["time"] == "2027-01-15T08:00:00.250Z"


def test_an_event_has_its_name_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="json"), process="worker 1")

    emit(REQUEST_FAILED, "it failed", request_id="r-1", reason="odd", details="more")

    line = json.loads(capsys.readouterr().err)
    assert {**line, "time": ""} == {
        "time": "",
        "level": "error",
        "logger": "gateway.request",
        "event": "request.failed",
        "message": "it failed",
        "process": "worker 1",
        "request_id": "r-1",
        "reason": "odd",
        "details": "more",
    }


def test_text_names_request_and_trace_of_an_event_whose_message_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()

    emit(REQUEST_FAILED, "it failed", request_id="r-1", trace_id="t-1", details="more")
    emit(REQUEST_FAILED, "request r-1 failed", request_id="r-1")

    lines = [line.partition(": ")[2] or line for line in capsys.readouterr().err.splitlines()]
    assert lines == ["it failed (request r-1, trace t-1)", "  more", "request r-1 failed"]


def test_lines_from_before_the_configuration_have_its_format(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(holds=True)
    logging.getLogger("gateway.config").warning("early")
    assert capsys.readouterr().err == ""

    logs.configure(LogConfig(format="json"))

    assert json.loads(capsys.readouterr().err)["message"] == "early"


def test_lines_that_are_held_are_written_at_the_latest_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(holds=True)
    logging.getLogger("gateway.config").warning("early")

    logs.write_held()

    assert capsys.readouterr().err.endswith("warning gateway.config: early\n")


def test_a_process_that_is_started_has_the_format_of_the_one_that_started_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_LOG", "")
    logs.configure(LogConfig(format="json", level="error"))

    logs.configure(process="worker 1")
    logging.getLogger("gateway.config").warning("left out")
    logging.getLogger("gateway.config").error("early")

    assert json.loads(capsys.readouterr().err)["message"] == "early"


def test_what_is_announced_is_bare_text_for_people_and_an_event_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logs.announce(REQUEST_FAILED, "g.yaml:1:2: it is odd\n   1 | \x1bodd\n     |  ^")
    logs.configure(LogConfig(format="json"))
    logs.announce(REQUEST_FAILED, "listening on http://x", reason="y")

    *text, line = capsys.readouterr().err.splitlines()
    assert text == ["g.yaml:1:2: it is odd", r"   1 | \x1bodd", "     |  ^"]
    assert (json.loads(line)["event"], json.loads(line)["reason"]) == ("request.failed", "y")


@pytest.mark.parametrize(
    ("logger", "expected"),
    [
        ("gateway.plugin.tiny", {"event": "plugin.log", "plugin": "tiny"}),
        ("gateway.plugins.etcd.watch", {"event": "plugin.log", "plugin": "etcd"}),
        ("urllib3.pool", {"event": "library.log"}),
        ("root", {"event": "library.log"}),
    ],
)
def test_lines_of_plugins_and_libraries_have_an_event_that_tells_whose_they_are(
    capsys: pytest.CaptureFixture[str], logger: str, expected: dict[str, str]
) -> None:
    logs.configure(LogConfig(format="json"))

    logging.getLogger(None if logger == "root" else logger).warning("a message")

    line = json.loads(capsys.readouterr().err)
    assert {name: line.get(name) for name in ("event", "plugin") if name in line} == expected
    assert (line["logger"], line["message"]) == (logger, "a message")
