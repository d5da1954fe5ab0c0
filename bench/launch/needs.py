"""What a method says its training needs, for schedulers of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from bench.build import method_class
from bench.errors import UsageError


@dataclass(frozen=True)
class Needs:
    """Of one training at the published size; the defaults are those of a method that says nothing."""

    gpu_gib: float = 24.0  # GPU memory
    hours: float = 24.0  # after which a job is checkpointed and queued again
    cores: int = 4


def needs_of(method: str) -> Needs:
    """The optional class attribute `needs` of a method, a mapping of fields of Needs; a floor needs what is default.

    Raises UsageError for a field that there is not and for a number that is not above 0.
    """
    said: object = getattr(method_class(method), "needs", {})
    known = [field.name for field in fields(Needs)]
    if not isinstance(said, Mapping) or not set(said) <= set(known):
        raise UsageError(f"method '{method}': needs = {said!r} must be a dict of {', '.join(known)}")
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UsageError(f"method '{method}': needs['{name}'] = {value!r} must be a number above 0")
    return Needs(**said)
