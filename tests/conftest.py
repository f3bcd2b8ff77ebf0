"""A small fitted ensemble that several test files share. It must not be changed: copy, clone or reload it."""

from pathlib import Path

import pytest
from hypothesis import settings

from enecg import EnECG, load_cohort
from enecg.cohorts import Cohort
from enecg.ensemble import JointSettings
from enecg.ensemble._lora import AdapterSettings
from enecg.ensemble._train_gate import GateSettings
from enecg.ensemble._train_head import HeadSettings
from enecg.ensemble._trunk import TrunkSettings
from enecg.store import Embedded

# No time limit for an example, since a busy machine is no fault; the same examples each time, since chance is none.
settings.register_profile("enecg", deadline=None, derandomize=True)
settings.load_profile("enecg")


@pytest.fixture(scope="session", autouse=True)
def _no_weights(tmp_path_factory):
    """Whatever this machine's user has pulled, tests see none of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENECG_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        yield


SMALL_TASKS = ("rr_interval", "age", "sex", "potassium", "superclass")


@pytest.fixture(scope="session", autouse=True)
def _no_weights(tmp_path_factory):
    """Whose weights are pulled on this machine makes no difference."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENECG_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(scope="session")
def small_settings() -> JointSettings:
    """So quick that it learns little, by all the steps of the real one."""
    one = AdapterSettings(max_epochs=2, patience=1)
    head = HeadSettings(trunk=TrunkSettings(width=16, max_epochs=3, min_steps=16), adapters=one, new_task=one)
    return JointSettings(n_folds=2, head=head, gate=GateSettings(max_epochs=2))


@pytest.fixture(scope="session")
def small_cohort() -> Cohort:
    """120 simulated recordings of 60 subjects at 100 Hz."""
    return load_cohort("simulated", n=120, seed=3, rate=100.0, recordings_per_subject=2, missing=0.1)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory) -> Path:
    """A folder that keeps embeddings for all tests of a session."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def unfitted(small_settings, small_store) -> EnECG:
    return EnECG(("rocket-small", "measurements"), SMALL_TASKS, settings=small_settings, store=small_store)


@pytest.fixture(scope="session")
def small_embedded(unfitted, small_cohort) -> Embedded:
    """The small cohort's embeddings, so that a fit takes a moment."""
    return unfitted.embed(small_cohort)


@pytest.fixture(scope="session")
def half_random(unfitted, small_cohort) -> EnECG:
    """Of measurements and of a network with random weights."""
    some = unfitted.clone().set_params(experts=("ecgfounder:tiny", "measurements"), tasks=("rr_interval", "sex"))
    return some.fit(small_cohort[:48])


@pytest.fixture(scope="session")
def fitted(unfitted, small_embedded, small_cohort) -> EnECG:
    return unfitted.clone().fit_embedded(small_embedded, small_cohort.targets)
