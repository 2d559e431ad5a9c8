"""What every value of the package keeps: an example, repr, pickling, equality, errors that name the argument."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest
from suites import subjects

from wgfode.errors import InputError

KINDS = list(subjects.kinds())
EVERY = [pair for kind in KINDS for pair in subjects.arguments(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_has_an_example(kind: str) -> None:
    known = subjects.EXAMPLES
    missing = [
        one.__name__ for one in subjects.classes(kind) if not {one.__name__, f"{kind}.{one.__name__}"} & set(known)
    ]
    assert not missing, f"add arguments of {missing} to EXAMPLES in {subjects.__file__}"
    assert subjects.examples(kind)


@pytest.mark.parametrize(("one", "given"), EVERY, ids=lambda value: getattr(value, "__name__", ""))
def test_it_is_a_value(one: type, given: dict[str, Any]) -> None:
    example, twin = one(**given), one(**given)
    copy = pickle.loads(pickle.dumps(example))
    assert type(copy) is one
    assert repr(copy) == repr(example) == repr(twin)
    assert repr(example)
    assert " object at 0x" not in repr(example)
    assert example == twin
    assert example == copy


@pytest.mark.parametrize(("one", "given"), EVERY, ids=lambda value: getattr(value, "__name__", ""))
def test_a_senseless_argument_is_named(one: type, given: dict[str, Any]) -> None:
    for name in inspect.signature(one).parameters:
        with pytest.raises(InputError, match=name):
            one(**{**given, name: object()})
