"""What the packages' own files name is there."""

import classifiers
import gateway


def test_the_classifiers_surface_is_sorted_and_importable() -> None:
    assert classifiers.__all__ == sorted(classifiers.__all__)
    assert len(set(classifiers.__all__)) == len(classifiers.__all__)
    for name in classifiers.__all__:
        assert getattr(classifiers, name) is not None, name


def test_the_gateways_version_is_one() -> None:
    assert [part.isdecimal() for part in gateway.__version__.split(".")] == [True] * 3
