"""Checks of numbers that an operator sets; they name the field, which may be a dotted path into nested parts."""

from __future__ import annotations

from operator import attrgetter

from draftmesh.core.errors import ConfigError


def require_at_least(low: int, config: object, *names: str) -> None:
    """Raise :class:`ConfigError` unless every named field of ``config`` is ``low`` or more."""
    for name in names:
        value = attrgetter(name)(config)
        if not value >= low:
            raise ConfigError(f"{name} must be at least {low}, got {value}")


def require_between(low: int, high: int, config: object, *names: str) -> None:
    """Raise :class:`ConfigError` unless every named field of ``config`` is ``low`` to ``high``."""
    for name in names:
        value = attrgetter(name)(config)
        if not low <= value <= high:
            raise ConfigError(f"{name} must be {low} to {high}, got {value}")


def require_not_negative(config: object, *names: str) -> None:
    """Raise :class:`ConfigError` if a named field of ``config`` is below 0, or not a number."""
    for name in names:
        value = attrgetter(name)(config)
        if not value >= 0:
            raise ConfigError(f"{name} must not be negative, got {value}")


def require_positive(config: object, *names: str) -> None:
    """Raise :class:`ConfigError` unless every named field of ``config`` is above 0."""
    for name in names:
        value = attrgetter(name)(config)
        if not value > 0:
            raise ConfigError(f"{name} must be above 0, got {value}")


def require_up_to(high: float, config: object, *names: str) -> None:
    """Raise :class:`ConfigError` unless every named field of ``config`` is above 0, and ``high`` at most."""
    for name in names:
        value = attrgetter(name)(config)
        if not 0 < value <= high:
            raise ConfigError(f"{name} must be in (0, {high:g}], got {value}")
