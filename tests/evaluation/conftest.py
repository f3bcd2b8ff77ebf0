"""A cohort for evaluations and an estimator that trains on it quickly."""

import pytest

from enecg import EnECG, load_cohort


@pytest.fixture(scope="session")
def people():
    """200 simulated recordings of 100 subjects at 100 Hz."""
    return load_cohort("simulated", n=200, seed=11, rate=100.0, recordings_per_subject=2)


@pytest.fixture(scope="session")
def model(small_settings, small_store):
    """RR and sex from two small experts. It is cloned, never fitted."""
    experts = ("rocket-small", "measurements")
    return EnECG(experts, ("rr_interval", "sex"), settings=small_settings, store=small_store)
