"""How likely a draft token is accepted if all before it were, by what has been judged."""

from __future__ import annotations


class AcceptanceCounts:
    """Of drafts, the newest ones counting most."""

    __slots__ = ("_accepted", "_forgetting", "_judged")

    def __init__(self, forgetting: float) -> None:
        """With nothing judged; ``forgetting``: what all that was judged before counts with each draft, in (0, 1]."""
        self._forgetting = forgetting
        self._accepted = 0.0
        self._judged = 0.0

    def learn(self, accepted: int, judged: int) -> None:
        """Take in a draft. Tokens after a rejected one say nothing: nobody would have accepted them."""
        self._accepted = self._forgetting * self._accepted + accepted
        self._judged = self._forgetting * self._judged + min(judged, accepted + 1)

    def shrunk(self, known: float, weight: float) -> float:
        """The share that was accepted, shrunk to what is known beforehand, which counts as so many judged tokens."""
        return (weight * known + self._accepted) / (weight + self._judged)
