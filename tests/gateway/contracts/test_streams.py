"""The promise itself: on stationary streams a bound that does not hold is hardly ever certified."""

import numpy as np
import pytest

from benchmarks.contract.streams import Profile, alarms, certify, share_and_limit

STREAMS = 1000
TARGET = 0.05
PROFILES = [
    Profile(name="just above", covers=(0.5,), wrong=(0.0505,)),
    Profile(name="above, three thresholds", covers=(0.2, 0.4, 0.7), wrong=(0.0505, 0.0505, 0.0505)),
    Profile(name="good, then above", covers=(0.4, 0.8), wrong=(0.01, 0.1)),
    Profile(name="worse where surer", covers=(0.2, 0.6), wrong=(0.051, 0.01)),
    Profile(name="right, but the reference is noisy", covers=(0.6,), wrong=(0.0,), noise=0.0505),
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_bound_that_does_not_hold_is_hardly_ever_certified(profile: Profile) -> None:
    found = [
        certify(profile, target=TARGET, confidence=0.95, calls=1000, attempts=3, rate=0.5, seed=seed)
        for seed in range(STREAMS)
    ]
    share, at_least = share_and_limit([stream.violates for stream in found])
    assert at_least <= 0.05, f"{share:.1%} of streams violate"


@pytest.mark.parametrize("profile", PROFILES[1:4], ids=lambda profile: profile.name)
def test_nor_where_most_of_what_is_sure_is_never_seen(profile: Profile) -> None:
    found = [
        certify(profile, target=TARGET, confidence=0.95, calls=1000, attempts=2, rate=0.2, seed=seed, sure=0)
        for seed in range(STREAMS)
    ]
    share, at_least = share_and_limit([stream.violates for stream in found])
    assert at_least <= 0.05, f"{share:.1%} of streams violate"


def test_what_is_forwarded_anyway_makes_a_certificate_come_sooner() -> None:
    profile = Profile(name="good", covers=(0.4, 0.6), wrong=(0.002, 0.03))
    alone, together = (
        [
            certify(profile, target=TARGET, confidence=0.95, calls=4000, attempts=1, rate=0.2, seed=seed, sure=sure)
            for seed in range(100)
        ]
        for sure in (None, 0)
    )
    assert np.mean([stream.covers > 0.5 for stream in together]) > np.mean([stream.covers > 0.5 for stream in alone])


def test_a_good_classifier_gets_its_certificate() -> None:
    profile = Profile(name="good", covers=(0.4, 0.6), wrong=(0.005, 0.02))
    found = [
        certify(profile, target=TARGET, confidence=0.95, calls=2000, attempts=1, rate=0.5, seed=seed)
        for seed in range(100)
    ]
    assert np.median([stream.calls for stream in found]) < 1000
    assert np.mean([stream.covers for stream in found]) > 0.5


def test_a_change_is_noticed_as_soon_after_many_good_audits() -> None:
    fresh = alarms(target=TARGET, rate=2 * TARGET, audits=2000, streams=200, seed=1)
    late = alarms(target=TARGET, rate=2 * TARGET, audits=2000, streams=200, seed=1, before=2000)
    assert np.isfinite(fresh).all()
    assert np.isfinite(late).all()
    assert np.median(late) <= 1.2 * np.median(fresh)


def test_false_alarms_are_rarer_than_the_limit_says() -> None:
    found = alarms(target=TARGET, rate=TARGET, audits=1000, streams=500, seed=2)
    assert np.isfinite(found).mean() <= 1000 / 4000
