"""Units of time in milliseconds and seconds."""

from __future__ import annotations

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAY_SECONDS = DAY_MS // 1000
