"""A generator that answers at once, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from draftmesh.client import GenerateOptions, Generation
from draftmesh.core.errors import UnsupportedMethodError
from draftmesh.inspection.psi_cost import PsiMeter
from tests.unit.inspection.builders import timed


class ScriptedGenerator:
    """Offers some methods; ``auto`` is what ``chosen`` says.

    Args:
        accepted: Of eight drafted tokens, how many each method has accepted; a method that is not named is refused.
        chosen: What ``auto`` chooses.
    """

    def __init__(self, accepted: Mapping[str, int], chosen: str = "exact") -> None:
        self._accepted = accepted
        self._chosen = chosen
        self.asked: list[tuple[str | bytes | Sequence[int], str, float, int | None]] = []
        """Prompt, method, temperature and seed of every request."""

    async def generate(self, prompt: str | bytes | Sequence[int], options: GenerateOptions) -> Generation:
        """Ten tokens."""
        self.asked.append((prompt, options.method, options.temperature, options.seed))
        if options.method not in self._accepted:
            raise UnsupportedMethodError(f"no {options.method} here")
        method = self._chosen if options.method == "auto" else options.method
        accepted = self._accepted[method]
        return timed(10, 1.0, drafted=8 * bool(accepted), accepted=accepted, method=method).generation


def silent_psi_meter() -> PsiMeter:
    """A meter that no drafter counts for."""
    reader = InMemoryMetricReader()
    MeterProvider([reader], shutdown_on_exit=False)
    return PsiMeter(reader)
