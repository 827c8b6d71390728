import pytest

from gateway.contracts.detector import AlarmDetector


def test_agreement_never_alarms() -> None:
    detector = AlarmDetector(target=0.02)
    for _ in range(3000):
        detector = detector.see(agrees=True)
    assert not detector.alarmed
    assert (detector.audits, detector.wrong) == (3000, 0)


def test_nothing_but_disagreement_alarms_soon() -> None:
    detector = AlarmDetector(target=0.02)
    while not detector.alarmed:
        detector = detector.see(agrees=False)
    assert 3 <= detector.audits <= 10


def test_long_agreement_is_no_credit() -> None:
    early, late = AlarmDetector(target=0.02), AlarmDetector(target=0.02)
    for _ in range(5000):
        late = late.see(agrees=True)
    for _ in range(4):
        early, late = early.see(agrees=False), late.see(agrees=False)
    assert late.level >= early.level


def test_the_level_grows_by_no_more_than_one_an_audit_at_the_target() -> None:
    """What makes LIMIT the mean time between false alarms."""
    detector = AlarmDetector(target=0.1).see(agrees=False).see(agrees=True)
    expected = 0.1 * detector.see(agrees=False).level + 0.9 * detector.see(agrees=True).level
    assert expected == pytest.approx(detector.level + 1)
