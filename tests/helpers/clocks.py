"""Clocks of tests: the event loop's time, and time that is moved by hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


class FakeClock:
    """The running event loop's time: virtual under ``run_virtual``."""

    def monotonic(self) -> float:
        """Seconds."""
        return asyncio.get_running_loop().time()


@dataclass
class HandClock:
    """Time that moves by hand."""

    now_s: float = 0.0

    def monotonic(self) -> float:
        """The time set last."""
        return self.now_s
