"""What the composition root offers can't be mistaken for one of its modules, whatever was imported before."""

from __future__ import annotations

import pkgutil
from types import ModuleType

import pytest

from secondsite import app


@pytest.mark.parametrize("name", app.__all__)
def test_no_name_is_a_modules_too_which_would_stand_for_it_once_it_was_imported(name: str) -> None:
    assert name not in {module.name for module in pkgutil.iter_modules(app.__path__)}
    assert not isinstance(getattr(app, name), ModuleType)


def test_a_name_that_it_does_not_offer_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = app.nothing_of_that_name
