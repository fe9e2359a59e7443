"""``draftmesh inspect``: what a target and a drafter have in common, and which method to use for them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from draftmesh.cli.inspect_tables import print_inspection
from draftmesh.cli.options import DEMO, NGRAM, Flat, PairOptions, PoolOptions, check_temperatures
from draftmesh.cli.painting import report_console
from draftmesh.cli.plan import deployment_plan, model_path
from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least
from draftmesh.core.sampling import Method
from draftmesh.demo.models import TARGET, demo_model_path
from draftmesh.demo.prompts import all_prompts, spread
from draftmesh.inspection.psi_cost import PsiMeter
from draftmesh.inspection.report import Inspection, by_serving, without_serving
from draftmesh.inspection.served_pair import with_whole_drafts
from draftmesh.inspection.sources import PairSide, pair_side, read_texts
from draftmesh.inspection.trials import TrialPlan
from draftmesh.inspection.vocabularies import VocabularyReport, inspect_vocabularies
from draftmesh.telemetry.logs import configure_logging

METHODS = tuple(method.label for method in Method if method is not Method.AUTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectOptions:
    """What is inspected."""

    corpus: Path | None = None
    """Text to compare tokenizers on and to draw prompts from: a text file or a JSON list of texts; else Python code."""

    methods: tuple[str, ...] = METHODS
    """A method to measure, may be given several times."""

    temperatures: tuple[float, ...] = (0.0, 1.0)
    """A temperature to measure at, may be given several times."""

    prompts: int = 16
    """Texts of the corpus to generate from."""

    max_tokens: int = 64
    """Tokens of each generation at most."""

    seed: int = 7
    """Seed of the first generation's draws; the others count up."""

    whole_drafts: bool = False
    """Draft as many tokens as may be drafted, whether it pays or not. Acceptance then is lower, the same on every
    machine, and depends on the models and texts alone; speeds are not those of serving."""

    tokenizers_only: bool = False
    """Compare the tokenizers, and serve nothing."""

    json: bool = False
    """Print the result as one JSON object, alone on standard output; all else goes to standard error."""


def inspect(
    target: Annotated[str, Parameter(help='A folder or hub name, or "demo": the packaged target, expanded.')],
    drafter: Annotated[str, Parameter(help='A folder or hub name, "demo", "demo-unigram", or "ngram" (no model).')],
    *,
    options: Annotated[InspectOptions, Flat] = InspectOptions(),
    pair: Annotated[PairOptions, Flat] = PairOptions(),
) -> None:
    """Compare two tokenizers, serve the pair here for a while as sessions are served, and say which method to use.

    The tables go to standard output, what is going on to standard error.
    """
    _validate(options)
    texts = read_texts(options.corpus) if options.corpus else all_prompts()
    vocabularies = inspect_vocabularies(_target(target), _drafter(drafter), texts)
    inspection = without_serving(vocabularies)
    if inspection.can_be_paired and not options.tokenizers_only:
        inspection = _serve(vocabularies, (target, drafter), texts, options, pair)
    print_inspection(inspection, report_console(json=options.json))
    if options.json:
        print(json.dumps({"can_be_paired": inspection.can_be_paired, **asdict(inspection)}))


def _serve(
    vocabularies: VocabularyReport,
    names: tuple[str, str],
    texts: tuple[str, ...],
    options: InspectOptions,
    pair: PairOptions,
) -> Inspection:
    configure_logging(level="error")
    notes = Console(stderr=True)
    psi_meter = PsiMeter.install()  # before a drafter is made
    plan = TrialPlan(
        prompts=spread(texts, options.prompts),
        methods=options.methods,
        temperatures=options.temperatures,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )
    target, drafter = names
    replicas = deployment_plan(pair.of(target, drafter), PoolOptions(listen="127.0.0.1:0"))
    replicas = with_whole_drafts(replicas) if options.whole_drafts else replicas

    def progress(line: str) -> None:
        notes.print(f"  {line} …", style="dim", highlight=False)

    return asyncio.run(by_serving(vocabularies, replicas, plan, psi_meter=psi_meter, progress=progress))


def _target(name: str) -> PairSide:
    return pair_side(name, str(demo_model_path(TARGET)) if name == DEMO else name)


def _drafter(name: str) -> PairSide:
    return PairSide(name, None) if name == NGRAM else pair_side(name, model_path(name))


def _validate(options: InspectOptions) -> None:
    require_at_least(1, options, "prompts", "max_tokens")
    check_temperatures(*options.temperatures)
    labels = {method.label for method in Method}
    unknown = next((method for method in options.methods if method not in labels), None)
    if unknown is not None:
        raise ConfigError(f"unknown method {unknown!r}; known: {', '.join(sorted(labels))}")
