"""Regular expressions of configurations: bounded work for whatever a client sends."""

from __future__ import annotations

from gateway_core.regex.pattern import (
    LONGEST_TEXT,
    Match,
    Pattern,
    PatternSyntaxError,
    ReplacePattern,
    SearchPattern,
    SlowPatternError,
    compile_pattern,
)

__all__ = [
    "LONGEST_TEXT",
    "Match",
    "Pattern",
    "PatternSyntaxError",
    "ReplacePattern",
    "SearchPattern",
    "SlowPatternError",
    "compile_pattern",
]
