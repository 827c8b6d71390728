"""The promise itself: on stationary streams a bound that does not hold is hardly ever certified."""

import numpy as np
import pytest

from benchmarks.contract.streams import Certified, Profile, alarms, certify
from tests.conftest import Simulation

STREAMS = 1000
TARGET = 0.05
PROFILES = [
    Profile(name="just above", covers=(0.5,), wrong=(0.0505,)),
    Profile(name="above, three thresholds", covers=(0.2, 0.4, 0.7), wrong=(0.0505, 0.0505, 0.0505)),
    Profile(name="good, then above", covers=(0.4, 0.8), wrong=(0.01, 0.1)),
    Profile(name="worse where surer", covers=(0.2, 0.6), wrong=(0.051, 0.01)),
    Profile(name="right, but the reference is noisy", covers=(0.6,), wrong=(0.0,), noise=0.0505),
]


def certify_each(streams: int, profile: Profile, **settings: float | None) -> list[Certified]:
    return [certify(profile, target=TARGET, confidence=0.95, seed=seed, **settings) for seed in range(streams)]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_bound_that_does_not_hold_is_hardly_ever_certified(simulation: Simulation, profile: Profile) -> None:
    runs = certify_each(simulation.streams(STREAMS), profile, calls=1000, attempts=3, rate=0.5)
    assert simulation.share_limits([run.violates for run in runs])[0] <= 0.05


@pytest.mark.parametrize("profile", PROFILES[1:4], ids=lambda profile: profile.name)
def test_a_bound_is_kept_where_most_sure_calls_are_not_audited(simulation: Simulation, profile: Profile) -> None:
    runs = certify_each(simulation.streams(STREAMS), profile, calls=1000, attempts=2, rate=0.2, sure=0)
    assert simulation.share_limits([run.violates for run in runs])[0] <= 0.05


def test_forwarded_calls_bring_a_certificate_sooner(simulation: Simulation) -> None:
    profile = Profile(name="good", covers=(0.4, 0.6), wrong=(0.002, 0.03))
    audited, forwarded = (
        [
            run.covers > 0.5
            for run in certify_each(simulation.streams(100), profile, calls=4000, attempts=1, rate=0.2, sure=sure)
        ]
        for sure in (None, 0)
    )
    assert simulation.share_limits(forwarded)[1] > simulation.share_limits(audited)[0]


def test_a_good_classifier_gets_its_certificate(simulation: Simulation) -> None:
    profile = Profile(name="good", covers=(0.4, 0.6), wrong=(0.005, 0.02))
    runs = certify_each(simulation.streams(100), profile, calls=2000, attempts=1, rate=0.5)
    assert simulation.median_limits([run.calls for run in runs])[1] < 1000
    assert np.mean([run.covers for run in runs]) > 0.5


def test_a_change_is_noticed_as_soon_after_many_good_audits(simulation: Simulation) -> None:
    streams = simulation.streams(200)
    fresh = alarms(target=TARGET, rate=2 * TARGET, audits=2000, streams=streams, seed=1)
    late = alarms(target=TARGET, rate=2 * TARGET, audits=2000, streams=streams, seed=1, before=2000)
    assert np.isfinite(fresh).all()
    assert np.isfinite(late).all()
    assert simulation.median_limits(late)[0] <= 1.2 * simulation.median_limits(fresh)[1]


def test_false_alarms_are_rarer_than_the_limit_says(simulation: Simulation) -> None:
    audits = alarms(target=TARGET, rate=TARGET, audits=1000, streams=simulation.streams(500), seed=2)
    assert simulation.share_limits(np.isfinite(audits).tolist())[0] <= 1000 / 4000
