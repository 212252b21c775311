from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import RateLimitConfig


def config_of(**redis: Any) -> RateLimitConfig:
    return RateLimitConfig.model_validate({"rate": 1, "store": "redis", "redis": redis})


def test_certificates_that_no_connection_could_use_are_found(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    none.write_text("none")
    os.mkfifo(tmp_path / "fifo")
    place = ("redis", "tls")

    for tls, found in [
        ({"ca": tmp_path / "away.pem"}, [((*place, "ca"), "file-missing")]),
        ({"ca": tmp_path / "fifo"}, [((*place, "ca"), "file-unreadable")]),
        ({"ca": none}, [(place, "file-invalid")]),
        ({"cert": none, "key": none}, [(place, "file-invalid")]),
        ({"verify": False}, []),
    ]:
        findings = RateLimit.check_config(config_of(url="rediss://127.0.0.1", tls=tls))
        assert [(finding.path, finding.code) for finding in findings] == found
