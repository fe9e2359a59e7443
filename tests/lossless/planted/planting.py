"""How a bug is planted: where the product looks something up, it finds something else for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

Plant = Callable[[], AbstractContextManager[object]]
"""A context in which a bug is there."""


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """``owner.name`` is ``value`` for a while."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def together(*contexts: AbstractContextManager[object]) -> Iterator[None]:
    """Several at once."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
