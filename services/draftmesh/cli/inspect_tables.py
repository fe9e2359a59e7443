"""An inspection for people: tables, and one sentence."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from draftmesh.cli.trial_cells import MEASURED_COLUMNS, PSI_COLUMNS, measured_cells, psi_cells
from draftmesh.inspection.report import Inspection
from draftmesh.inspection.trials import Trial
from draftmesh.inspection.vocabularies import RoleReport, SharedReport, SharedTokens, TokenizerReport, VocabularyReport


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print the tables, what is not offered and why, and the recommendation."""
    tables = [_tokenizers(inspection.vocabularies)]
    if inspection.vocabularies.shared is not None:
        tables.append(_shared(inspection.vocabularies.shared, inspection.vocabularies.roles))
    if inspection.trials:
        tables.append(_trials(inspection.trials))
    for table in tables:
        console.print(table, highlight=False)
        console.print()
    for refusal in dict.fromkeys(trial.refusal for trial in inspection.trials if trial.refusal):
        console.print(f"not measured: {refusal}", style="dim", highlight=False, markup=False)
    console.print(inspection.recommendation, highlight=False, markup=False, soft_wrap=True)


def _tokenizers(vocabularies: VocabularyReport) -> Table:
    table = Table("", "target", "drafter", box=None, header_style="bold", title="tokenizers", title_justify="left")
    target, drafter = vocabularies.target, vocabularies.drafter
    shared = vocabularies.shared
    table.add_row("model", Path(target.model).name, Path(drafter.model).name)
    table.add_row("family", _family(target), _family(drafter))
    table.add_row("token ids", str(target.ids or ""), str(drafter.ids or ""))
    table.add_row("texts that do not come back", _failures(target), _failures(drafter))
    if shared is not None:
        for name, of in (("shared ids", _ids), ("of the vocabulary", _share), ("of the corpus' tokens", _mass)):
            table.add_row(name, of(shared.target), of(shared.drafter))
    return table


def _family(report: TokenizerReport) -> str:
    return report.family or report.refusal or "none: it proposes text"


def _failures(report: TokenizerReport) -> str:
    return str(len(report.round_trip_failures)) if report.family else ""


def _ids(part: SharedTokens) -> str:
    return str(part.ids)


def _share(part: SharedTokens) -> str:
    return f"{part.share:.1%}"


def _mass(part: SharedTokens) -> str:
    return f"{part.mass:.1%}"


def _shared(shared: SharedReport, roles: tuple[RoleReport, ...]) -> Table:
    table = Table("", "shared", "target", "drafter", box=None, header_style="bold", title="what both can say")
    table.title_justify = "left"
    table.add_row("newline", _yes(shared.newline))
    table.add_row("tab", _yes(shared.tab))
    table.add_row("characters beyond ASCII", f"{_yes(shared.non_ascii)} ({shared.non_ascii_tokens} whole tokens)")
    for role in roles:
        both = bool(role.target_ids and role.drafter_ids)
        table.add_row(role.role, _yes(both), _numbers(role.target_ids), _numbers(role.drafter_ids))
    return table


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _numbers(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))


def _trials(trials: tuple[Trial, ...]) -> Table:
    table = Table(box=None, header_style="bold", title="served", title_justify="left")
    for column in (*MEASURED_COLUMNS, *PSI_COLUMNS):
        table.add_column(column, justify="left" if column == "method" else "right")
    for trial in trials:
        if trial.figures is not None:
            table.add_row(*measured_cells(trial, trial.figures), *psi_cells(trial))
    return table
