"""Hypothesis runs the same examples every time, unless ``HYPOTHESIS_PROFILE=explore`` asks for new ones.

``HYPOTHESIS_PROFILE=unshrunk`` shows a failing example at once, however large it is.
"""

import os

from hypothesis import Phase, settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.register_profile(
    "unshrunk", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
