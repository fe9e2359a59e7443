"""What a user may say on the command line, beyond the daemons' own configurations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from draftmesh.core.sampling import SamplingParams
from draftmesh.engine.config import DtypeName, QuantizationName

Flat = Parameter(name="*")
"""For a dataclass of options: its fields are flags of their own."""

DEFAULT_ADDRESS = "127.0.0.1:7070"
AddressOption = Annotated[str, Parameter(help="Address of a coordinator shard, host:port.")]
ColorOption = Annotated[Literal["auto", "always", "never"], Parameter(help="Colour the text.")]

DEMO = "demo"
DEMO_UNIGRAM = "demo-unigram"
NGRAM = "ngram"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Logs."""

    log_format: Literal["console", "json"] = "console"
    """Lines for people, or JSON for machines."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines to print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptions:
    """How models are run."""

    dtype: DtypeName = "auto"
    """Number format of weights and KV."""

    device: str = "cpu"
    """torch device of the target."""

    drafter_device: str = "cpu"
    """torch device of the drafters."""

    quantization: QuantizationName | None = None
    """Quantise the target's weights while loading, which makes another target of it; int8 is for a CPU."""

    drafter_quantization: QuantizationName | None = None
    """Quantise the drafters' weights while loading: there is less to read for each token, and no text changes."""

    verifier_threads: int = 0
    """CPU threads of a verifier; 0 takes all cores."""

    drafter_threads: int = 1
    """CPU threads of a drafter with a model."""

    demo_parameters: int = 220_000_000
    """Size of the packaged target after its function-preserving expansion."""

    cache_dir: Path = Path("~/.cache/draftmesh")
    """Where expanded demo targets are kept (four bytes a parameter; for a GPU, in bfloat16, two)."""

    def of(self, target: str, *drafters: str) -> ModelOptions:
        """These models, run so."""
        return ModelOptions(
            target=target, drafter=drafters, **{field.name: getattr(self, field.name) for field in fields(PairOptions)}
        )


# Here and not where they are used: the names in inherited annotations are looked up in the subclass's own module.


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadOptions(PairOptions):
    """How the models of a benchmark are run."""

    verifier_threads: int = 0
    """CPU threads of the target that has a drafter; 0 takes all cores."""

    off_threads: int = 0
    """CPU threads of the target that decodes alone; 0 takes all cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions(PairOptions):
    """How the models are run; the verifier and its drafter may divide the cores as is best."""

    verifier_threads: int = 0
    """CPU threads of the target that has a drafter; 0 takes as many as everybody has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions(PairOptions):
    """Which models a deployment runs, and how."""

    target: str = DEMO
    """The target: a folder or hub name of a transformers model, or "demo": the packaged target, expanded."""

    drafter: tuple[str, ...] = (DEMO,)
    """A drafter, may be given several times: a folder or hub name, "demo", "demo-unigram", or "ngram" (no model)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How much of everything a deployment runs."""

    listen: str = DEFAULT_ADDRESS
    """Where clients connect, host:port; every shard listens here."""

    shards: int = 1
    """Coordinator shards."""

    verifiers: int = 1
    """Verifier replicas."""

    drafters: int = 1
    """Replicas of each drafter."""

    max_sessions: int = 64
    """Sessions of one replica at most."""

    host: str = "127.0.0.1"
    """Interface on which replicas listen for each other; 0.0.0.0 when they run on several machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """Ray."""

    ray_address: str | None = None
    """Join this Ray cluster; without it, one is started here and ended with the command."""

    start_timeout_s: float = 300.0
    """Give up when not everything is up by then."""

    show_replica_logs: bool = False
    """Print the logs of all replicas here."""


def check_temperatures(*temperatures: float) -> None:
    """Refuse what a server would refuse, before models are loaded; raises InvalidRequestError."""
    for temperature in temperatures:
        SamplingParams(temperature=temperature).validate()
