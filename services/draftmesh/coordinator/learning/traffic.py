"""Kinds of traffic: sessions alike enough that one tells what a drafter will be worth to the next.

* *Temperature*, in bands: the share of a draft that is accepted falls with it, and not for all drafters alike.
* *Length of the prompt*, in bands: how much there is to copy for a drafter that looks the text up in itself, and to
  read for one that is a model.
* *Method*: what is drafted, and how it is judged. ``tli`` and ``rejection`` do both alike, and are one kind.

So a target has 60 kinds at most. What a text is about is none of it: prompts of prose are answered with code, every
class more divides what is known by so much, and a client who does know names the drafter.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from draftmesh.core.sampling import Method

_TEMPERATURES = (0.0, 0.5, 0.9, 1.2)
_PROMPT_TOKENS = (256, 2048)
"""Upper ends of bands; above the last is one more."""


def temperature_band(temperature: float) -> int:
    """The band of a temperature; 0 is greedy."""
    return bisect_left(_TEMPERATURES, temperature)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What drafters' rates are kept apart by."""

    target_digest: bytes
    temperature_band: int
    prompt_band: int
    method: Method
    """``tli`` stands for ``rejection`` too."""


def traffic_of(target_digest: bytes, method: Method, *, temperature: float, prompt_tokens: int) -> Traffic:
    """The kind that a session is of."""
    return Traffic(
        target_digest,
        temperature_band(temperature),
        bisect_left(_PROMPT_TOKENS, prompt_tokens),
        Method.TLI if method is Method.REJECTION else method,
    )
