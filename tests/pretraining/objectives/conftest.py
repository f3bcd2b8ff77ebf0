"""Tiny networks, and batches of the simulated windows."""

from dataclasses import replace

import pytest
import torch

from enecg.experts import get_expert


@pytest.fixture
def learner(request):
    """The tiny network of this name, with random weights, while it is trained."""
    torch.manual_seed(0)
    return get_expert(f"{request.param}:tiny").fresh_network().train()


@pytest.fixture(scope="session")
def shortened(corpus):
    """The corpus with windows of `n` samples alone."""

    def with_samples(n):
        return replace(corpus, prepared=replace(corpus.prepared, data=corpus.prepared.data[..., :n]))

    return with_samples


@pytest.fixture
def batch_of(corpus):
    """The first `n` training windows; `seed` is of what an objective draws."""

    def batch(n=8, seed=0):
        return corpus.batch(corpus.train[:n], torch.Generator().manual_seed(seed))

    return batch
