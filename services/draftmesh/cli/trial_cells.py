"""What was measured of a method at a temperature, as cells of a table."""

from __future__ import annotations

from draftmesh.core.sampling import Method
from draftmesh.inspection.measuring import Figures
from draftmesh.inspection.trials import Trial

MEASURED_COLUMNS = ("T", "method", "drafted", "acceptance", "acceptance length", "accepted bytes/step", "tokens/s")
PSI_COLUMNS = ("ψ/token", "rows/ψ")


def measured_cells(trial: Trial, figures: Figures, label: str = "") -> tuple[str, ...]:
    """For :data:`MEASURED_COLUMNS`; ``label`` stands for the method where it is not empty."""
    drafted = bool(figures.drafted_tokens)
    return (
        f"{trial.temperature:g}",
        (label or trial.method) + (_chosen(trial) if trial.method == Method.AUTO.label else ""),
        str(figures.drafted_tokens or ""),
        f"{figures.acceptance_rate:.3f} ± {figures.acceptance_error:.3f}" if drafted else "",
        f"{figures.acceptance_length:.2f}" if drafted else "",
        f"{figures.accepted_bytes_per_target_step:.2f}" if drafted else "",
        f"{figures.tokens_per_second:.1f}",
    )


def psi_cells(trial: Trial) -> tuple[str, ...]:
    """For :data:`PSI_COLUMNS`."""
    if trial.psi is None:
        return "", ""
    return f"{trial.psi.per_committed_token:.2f}", f"{trial.psi.rows_per_psi:.2f}"


def _chosen(trial: Trial) -> str:
    return f" ({', '.join(f'{count} {method}' for method, count in trial.chosen.items())})"
