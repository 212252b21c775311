from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import RateLimitConfig
from pydantic import ValidationError


def config_of(**redis: Any) -> RateLimitConfig:
    return RateLimitConfig.model_validate({"rate": 1, "store": "redis", "redis": redis})


def test_certificates_that_no_connection_could_use_are_found(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    none.write_text("none")
    place = ("redis", "tls")

    for tls, found in [
        ({"ca": str(none)}, [(place, "file-invalid")]),
        ({"cert": str(none), "key": str(none)}, [(place, "file-invalid")]),
        ({"verify": False}, []),
    ]:
        findings = RateLimit.check_config(config_of(url="rediss://127.0.0.1", tls=tls))
        assert [(finding.path, finding.code) for finding in findings] == found
    with pytest.raises(ValidationError, match="names no file"):
        config_of(url="rediss://127.0.0.1", tls={"ca": str(tmp_path / "away.pem")})
