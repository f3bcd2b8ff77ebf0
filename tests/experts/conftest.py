"""Golden numbers of published networks."""

from pathlib import Path

import pytest

from enecg.weights import fit_state, layout_of, read_state


@pytest.fixture(scope="session")
def golden():
    return Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def load_golden():
    """Load a network's weights the way pulled ones are loaded: every name, shape and spelling checked."""

    def load(network, path, unused=(), inside=(), prefix=""):
        state = fit_state(read_state(path, inside, prefix), layout_of(network.state_dict()), unused, str(path))
        _, unexpected = network.load_state_dict(state, strict=False)
        assert not unexpected
        return network.eval().requires_grad_(False)

    return load
