"""Half a minute of how the shipped network is made: its real size and settings, in a process that is really killed."""

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from enecg.cohorts import load_cohort
from enecg.experts import get_expert, variant_names
from enecg.pretraining import pretrain
from enecg.pretraining._pretrain import checkpoints

HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "scripts"
STEPS = 64
LOOK = STEPS // 4


def teach(name):
    """The stages of scripts/make_experts.py, but short, on recordings and labels that need no download."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        from make_experts import STAGES
    finally:
        sys.path.remove(str(SCRIPTS))
    # So few that most of them are met in every step.
    cohort = load_cohort("simulated", n=44, seed=3, rate=100.0)
    stages = [replace(one, settings=replace(one.settings, steps=STEPS, check_every=LOOK)) for one in STAGES["s4d"]]
    return pretrain("s4d", name, cohort, stages, tasks=("rr_interval", "rhythm", "superclass"))


@pytest.mark.timeout(900)  # half a minute on a core of its own
def test_the_loss_falls_and_a_killed_making_of_the_shipped_network_ends_with_the_same_bits(shelf, killed_at):
    there = f"sys.path.insert(0, {str(HERE)!r}); import test_minute; test_minute.teach('killed')"
    killed = killed_at("supervised", STEPS // 2 + 1, there)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (variant_names(), len(checkpoints("s4d+killed"))) == ((), 1)
    whole, gone_on = teach("whole"), teach("killed")
    assert (gone_on.sha256, gone_on.settings) == (whole.sha256, whole.settings)
    curves = whole.settings["curves"]
    assert curves[-1]["train"] < 0.95 * curves[0]["train"]
    assert whole.after < 0.95 * whole.before
    assert get_expert("s4d+whole").card.parameters == get_expert("s4d").card.parameters
