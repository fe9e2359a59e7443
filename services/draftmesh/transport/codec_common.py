"""Protobuf to core values and back, for the messages that more than one service uses.

Everything that comes in is checked here, once; what is wrong raises the :class:`InvalidRequestError` family with a
message that names the field. ``xxx_to_proto`` trusts its argument, which is a core value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.errors import InvalidRequestError, UnsupportedMethodError
from draftmesh.core.fence import Fence
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import Item, Role, TextPrefix, TokenPrefix, join_items
from draftmesh.v1 import common_pb2

NOISE_KEY_BYTES = 16
MAX_SESSION_ID_CHARACTERS = 128
MAX_TOKENS_LIMIT = 1 << 31
"""Upper bound of ``max_tokens`` on the wire; a service's own limit, its model's context, is lower."""

DEFAULT_MAX_TOKENS = StopConditions().max_tokens


@dataclass(frozen=True, slots=True)
class Draining:
    """The peer will stop soon; the stream works on until then."""

    grace_ms: int
    """Milliseconds until the stream is cut."""


def session_id_from_proto(value: str) -> str:
    """Check a session id: 1 to 128 characters."""
    if not 1 <= len(value) <= MAX_SESSION_ID_CHARACTERS:
        raise InvalidRequestError(f"session_id must have 1 to {MAX_SESSION_ID_CHARACTERS} characters, got {len(value)}")
    return value


def positive_from_proto(value: int, field: str) -> int:
    """Check a number that counts from 1."""
    if value < 1:
        raise InvalidRequestError(f"{field} counts from 1, got {value}")
    return value


def fence_to_proto(fence: Fence) -> common_pb2.Fence:
    """A fence for the wire."""
    return common_pb2.Fence(session_epoch=fence.session_epoch, attempt=fence.attempt)


def fence_from_proto(message: common_pb2.Fence) -> Fence:
    """Check a fence; a message without one has both numbers at 0, which is refused."""
    return Fence(
        session_epoch=positive_from_proto(message.session_epoch, "fence.session_epoch"),
        attempt=positive_from_proto(message.attempt, "fence.attempt"),
    )


def role_to_proto(role: Role) -> common_pb2.Role.ValueType:
    """The numbers are equal."""
    return common_pb2.Role.ValueType(role)


def role_from_proto(value: int, field: str) -> Role:
    """A role that this version knows."""
    try:
        return Role(value)
    except ValueError:
        raise InvalidRequestError(f"{field}: {value} is not a role") from None


def items_to_proto(items: Sequence[Item]) -> list[common_pb2.Item]:
    """Text for the wire, neighbouring byte pieces joined and empty ones dropped."""
    return [item_to_proto(item) for item in join_items(items)]


def item_to_proto(item: Item) -> common_pb2.Item:
    """One piece of text for the wire."""
    return common_pb2.Item(text=item) if isinstance(item, bytes) else common_pb2.Item(role=role_to_proto(item))


def items_from_proto(messages: Iterable[common_pb2.Item], field: str) -> tuple[Item, ...]:
    """Text from the wire; an item that is neither bytes nor role is refused."""
    return tuple(_item_from_proto(message, f"{field}[{index}]") for index, message in enumerate(messages))


def _item_from_proto(message: common_pb2.Item, field: str) -> Item:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "role":
            return role_from_proto(message.role, f"{field}.role")
        case _:
            raise InvalidRequestError(f"{field} has neither text nor role")


def method_to_proto(method: Method) -> common_pb2.Method.ValueType:
    """The numbers are equal."""
    return common_pb2.Method.ValueType(method)


def method_from_proto(value: int, field: str = "method") -> Method:
    """A method that can be run: unset and ``auto`` are refused.

    Raises:
        InvalidRequestError: unset, or ``auto``.
        UnsupportedMethodError: a number that this version does not know.
    """
    method = requested_method_from_proto(value, field)
    if method is Method.AUTO:
        raise InvalidRequestError(f"{field} must be a definite method, not unset or METHOD_AUTO")
    return method


def requested_method_from_proto(value: int, field: str = "method") -> Method:
    """A method as a client may ask for it: unset means ``auto``; raises UnsupportedMethodError for unknown numbers."""
    if value == common_pb2.METHOD_UNSPECIFIED:
        return Method.AUTO
    try:
        return Method(value)
    except ValueError:
        raise UnsupportedMethodError(f"{field}: method number {value} is unknown here") from None


def methods_from_proto(values: Iterable[int]) -> tuple[Method, ...]:
    """The methods that a peer offers, without those that only a newer version knows."""
    known = {int(method) for method in Method}
    return tuple(Method(value) for value in values if value in known)


def finish_reason_to_proto(reason: FinishReason | None) -> common_pb2.FinishReason.ValueType:
    """The numbers are equal; None is unset."""
    return common_pb2.FinishReason.ValueType(reason or 0)


def finish_reason_from_proto(value: int, field: str = "finish_reason") -> FinishReason | None:
    """None while the generation runs."""
    if value == common_pb2.FINISH_REASON_UNSPECIFIED:
        return None
    try:
        return FinishReason(value)
    except ValueError:
        raise InvalidRequestError(f"{field}: {value} is not a finish reason") from None


def sampling_to_proto(params: SamplingParams) -> common_pb2.Sampling:
    """Sampling for the wire, every field set."""
    return common_pb2.Sampling(
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        min_p=params.min_p,
        repetition_penalty=params.repetition_penalty,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
        logprobs=params.logprobs,
    )


def sampling_from_proto(message: common_pb2.Sampling) -> SamplingParams:
    """Checked sampling; unset fields have the defaults of :class:`SamplingParams`."""
    params = SamplingParams(
        temperature=message.temperature,
        top_k=message.top_k,
        top_p=message.top_p if message.HasField("top_p") else 1.0,
        min_p=message.min_p,
        repetition_penalty=message.repetition_penalty if message.HasField("repetition_penalty") else 1.0,
        presence_penalty=message.presence_penalty,
        frequency_penalty=message.frequency_penalty,
        logprobs=message.logprobs if message.HasField("logprobs") else None,
    )
    params.validate()
    return params


def stop_to_proto(stop: StopConditions) -> common_pb2.StopConditions:
    """Stop conditions for the wire."""
    return common_pb2.StopConditions(max_tokens=stop.max_tokens, stop=stop.stop, ignore_eos=stop.ignore_eos)


def stop_from_proto(
    message: common_pb2.StopConditions,
    *,
    default_max_tokens: int = DEFAULT_MAX_TOKENS,
    max_tokens_limit: int = MAX_TOKENS_LIMIT,
) -> StopConditions:
    """Checked stop conditions; a ``max_tokens`` of 0 becomes ``default_max_tokens``."""
    stop = StopConditions(message.max_tokens or default_max_tokens, tuple(message.stop), message.ignore_eos)
    stop.validate(max_tokens_limit=max_tokens_limit)
    return stop


def noise_key_to_proto(key: NoiseKey) -> common_pb2.NoiseKey:
    """A noise key for the wire."""
    return common_pb2.NoiseKey(version=key.version, key=key.key)


def noise_key_from_proto(message: common_pb2.NoiseKey) -> NoiseKey:
    """A key of 16 bytes with a version."""
    if len(message.key) != NOISE_KEY_BYTES:
        raise InvalidRequestError(f"noise_key.key must have {NOISE_KEY_BYTES} bytes, got {len(message.key)}")
    return NoiseKey(message.key, positive_from_proto(message.version, "noise_key.version"))


def text_prefix_to_proto(prefix: TextPrefix) -> common_pb2.TextPrefix:
    """A text prefix for the wire."""
    return common_pb2.TextPrefix(length=prefix.length, hash=prefix.hash)


def text_prefix_from_proto(message: common_pb2.TextPrefix) -> TextPrefix:
    """Any length and hash can be a prefix's."""
    return TextPrefix(message.length, message.hash)


def token_prefix_to_proto(prefix: TokenPrefix) -> common_pb2.TokenPrefix:
    """A token prefix for the wire."""
    return common_pb2.TokenPrefix(length=prefix.length, hash=prefix.hash)


def token_prefix_from_proto(message: common_pb2.TokenPrefix) -> TokenPrefix:
    """Any length and hash can be a prefix's."""
    return TokenPrefix(message.length, message.hash)


def load_to_proto(load: LoadReport) -> common_pb2.LoadReport:
    """A load report for the wire."""
    return common_pb2.LoadReport(
        draining=load.draining,
        active_sessions=load.active_sessions,
        max_sessions=load.max_sessions,
        waiting_sequences=load.waiting_sequences,
        kv_blocks_free=load.kv_blocks_free,
        kv_blocks_total=load.kv_blocks_total,
        batch_sequences=load.batch_sequences,
        token_budget=load.token_budget,
        costs=[common_pb2.CostPoint(rows=point.rows, milliseconds=point.milliseconds) for point in load.costs],
    )


def load_from_proto(message: common_pb2.LoadReport) -> LoadReport:
    """A load report; nothing in it can be wrong enough to refuse it."""
    return LoadReport(
        draining=message.draining,
        active_sessions=message.active_sessions,
        max_sessions=message.max_sessions,
        waiting_sequences=message.waiting_sequences,
        kv_blocks_free=message.kv_blocks_free,
        kv_blocks_total=message.kv_blocks_total,
        batch_sequences=message.batch_sequences,
        token_budget=message.token_budget,
        costs=tuple(CostPoint(point.rows, point.milliseconds) for point in message.costs),
    )
