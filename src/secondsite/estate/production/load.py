"""What production is declared to be, from its document."""

from __future__ import annotations

from pydantic import BaseModel

from ..schema.load import ProductionDocument, StatedDocument
from .model import Production, Stated, Wait


def production_of(given: ProductionDocument | None) -> Production | None:
    """Return what is declared; what is not declared is not there."""
    if given is None:
        return None
    return Production(
        target=given.target,
        amounts=_stated(given.amounts),
        rates=_stated(given.rates),
        waits={
            name: Wait(expected=one.expected, at_most=one.at_most, source=one.source, after=tuple(one.after))
            for name, one in given.waits.items()
        },
    )


def _stated(document: BaseModel) -> dict[str, Stated]:
    """Return the numbers that are stated, each by the name that a report calls it."""
    return {
        name.replace("_", "-"): Stated(value=one.value, source=one.source)
        for name in type(document).model_fields
        if isinstance(one := getattr(document, name), StatedDocument)
    }
