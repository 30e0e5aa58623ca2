"""Consent that only the sealed key made whole is told in the report as what it is."""

from __future__ import annotations

from secondsite.app.drill import broken_glass


def test_where_the_glass_was_broken_is_a_limitation_and_two_persons_are_none() -> None:
    two: dict[str, object] = {"gate": "failover/authorise", "persons": ["ana", "bo"]}
    sealed: dict[str, object] = {"gate": "failover/authorise", "persons": ["ana", "Break-Glass "]}
    order: dict[str, object] = {"gate": "failover/authorise", "persons": []}
    (told,) = broken_glass([two, sealed, order])
    assert told.startswith("THE GLASS WAS BROKEN at failover/authorise (ana, Break-Glass )")
