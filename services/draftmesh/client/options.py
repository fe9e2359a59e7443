"""What a caller may ask of a generation, and how it becomes a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.sampling import Method
from draftmesh.v1 import common_pb2, coordinator_pb2

Prompt = str | bytes | Sequence[int]
"""Text, its UTF-8 bytes, or target token ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """Options of one generation. What is None is left to the coordinator."""

    model: str = ""
    """Public name of the target; may be empty when only one is served."""

    max_tokens: int | None = None
    """Generated target tokens at most, the end token included."""

    temperature: float = 0.0
    """0 means greedy."""

    top_k: int = 0
    """Keep the k most likely tokens; 0 keeps all."""

    top_p: float | None = None
    """Keep the smallest set of tokens whose mass reaches this, in (0, 1]."""

    min_p: float = 0.0
    """Keep tokens with at least this share of the most likely token's probability."""

    repetition_penalty: float | None = None
    """Above 1 discourages tokens seen in prompt or output."""

    presence_penalty: float = 0.0
    """Subtracted once from the logit of each token in the output."""

    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for each time it is in the output."""

    logprobs: int | None = None
    """Log probabilities of each token and of this many most likely ones."""

    seed: int | None = None
    """Fixes the text; any method that keeps the noise gives the same text for the same seed."""

    stop: tuple[str | bytes, ...] = ()
    """The text ends before the first of these."""

    ignore_eos: bool = False
    """Go on after an end token."""

    method: str = "auto"
    """auto, off, exact, tli, tli-exact, rejection or slrs."""

    drafter: str = ""
    """Use only drafters of this name."""

    max_draft_tokens: int | None = None
    """Draft tokens of a round at most."""

    timeout_s: float | None = 600.0
    """Deadline of the whole generation, seconds; None waits for ever."""

    def request(self, prompt: Prompt) -> coordinator_pb2.GenerateRequest:
        """The request for a prompt; ranges are checked by the coordinator.

        Raises:
            InvalidRequestError: the method is unknown, or a value cannot be sent at all, such as a negative seed.
        """
        try:
            return self._request(prompt)
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"an option or the prompt cannot be sent: {error}") from error

    def _request(self, prompt: Prompt) -> coordinator_pb2.GenerateRequest:
        request = coordinator_pb2.GenerateRequest(
            model=self.model,
            sampling=self._sampling(),
            seed=self.seed,
            stop=self._stop(),
            method=common_pb2.Method.ValueType(_method(self.method)),
            drafter=self.drafter,
            max_draft_tokens=self.max_draft_tokens,
        )
        if isinstance(prompt, str | bytes):
            request.text = _utf8(prompt)
        else:
            request.ids.ids.extend(prompt)
        return request

    def _sampling(self) -> common_pb2.Sampling:
        return common_pb2.Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logprobs=self.logprobs,
        )

    def _stop(self) -> common_pb2.StopConditions:
        return common_pb2.StopConditions(
            max_tokens=self.max_tokens or 0,
            stop=[_utf8(text) for text in self.stop],
            ignore_eos=self.ignore_eos,
        )


def _utf8(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _method(label: str) -> Method:
    for method in Method:
        if method.label == label:
            return method
    raise InvalidRequestError(f"unknown method {label!r}; known: {', '.join(m.label for m in Method)}")
