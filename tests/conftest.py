"""Hypothesis runs the same examples every time, unless ``HYPOTHESIS_PROFILE=explore`` asks for new ones."""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
