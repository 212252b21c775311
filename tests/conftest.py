"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: a test that is slow on a busy machine is not a test that fails.
settings.register_profile("fast", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
