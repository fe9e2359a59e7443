"""The methods that a session could have: what target, drafter, trust and a client's seed allow.

``off`` always. With a drafter, the methods that target and drafter both offer and that their vocabularies allow:
``exact`` any pair, ``tli`` and ``tli-exact`` drafters that have a vocabulary, ``rejection`` equal ones. The ratio
methods need trusted drafters. With a client's seed, ``off``, ``exact`` and ``tli-exact`` alone: they say the same text
for it, so the choice does not show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from draftmesh.core.endpoint import DrafterInfo, VerifierInfo
from draftmesh.core.sampling import Method

_ORDER = (Method.EXACT, Method.OFF, Method.TLI, Method.REJECTION, Method.TLI_EXACT, Method.SLRS)


@dataclass(frozen=True, slots=True)
class Option:
    """A way to decode."""

    method: Method
    drafter_digest: bytes = b""
    """Empty for ``off``."""


def candidates(
    target: VerifierInfo, drafters: Iterable[DrafterInfo], *, trusted: bool, seeded: bool
) -> tuple[Option, ...]:
    """What could be chosen, in the order of trial; ``off`` is always among it."""
    known = {drafter.digest: drafter for drafter in drafters}
    options = [
        Option(method, digest)
        for method in _ORDER
        for digest, drafter in sorted(known.items())
        if suits(method, target, drafter) and (trusted or not method.judges_by_ratio)
    ]
    options.append(Option(Method.OFF))
    if seeded:  # only methods that say the same text for it
        options = [option for option in options if not option.method.judges_by_ratio]
    return tuple(sorted(options, key=lambda option: _ORDER.index(option.method)))


def suits(method: Method, target: VerifierInfo, drafter: DrafterInfo) -> bool:
    """Whether target and drafter can decode with a method that drafts."""
    if method is Method.OFF or method not in target.methods or method not in drafter.methods:
        return False
    if method is Method.REJECTION:
        return drafter.vocabulary_digest == target.vocabulary_digest
    return bool(drafter.vocabulary_digest) or not method.proposes_ids
