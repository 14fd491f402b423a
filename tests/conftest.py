"""What all tests share: none reads or writes the user's cache folder."""

from __future__ import annotations

import os

os.environ["SIMDFL_COMPILATION_CACHE"] = "off"
