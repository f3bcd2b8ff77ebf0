"""Whatever computes a network computes that network, or is refused."""

import gc
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from enecg.errors import BackendError, ExpertError, MissingPackageError
from enecg.experts import Published, _backends, get_expert, published_names
from enecg.experts._backends import computed_by
from enecg.experts._torch import denormals_flushed
from enecg.store import embed

BACKENDS = Published.backends
SHAPE = (3, 2, 40)
each = pytest.mark.parametrize("backend", BACKENDS)


class Toy(nn.Module):
    """One layer of each kind that bfloat16 treats apart."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear, self.norm = nn.Conv1d(2, 8, 3), nn.Linear(8, 16), nn.LayerNorm(16)

    def forward(self, x):
        return self.norm(gelu(self.linear(self.conv(x).transpose(1, 2)))).mean(1)


@pytest.fixture
def toy():
    torch.manual_seed(0)
    return Toy().eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _inference():
    """As experts embed."""
    with torch.inference_mode(), denormals_flushed():
        yield


@pytest.fixture
def recordings(small_cohort):
    return [item.read() for item in small_cohort[:2]]


def away(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@each
def test_each_backend_is_near_plain_torch(toy, backend):
    x = torch.randn(SHAPE)
    found = computed_by(backend, toy, SHAPE)(x)
    assert found.dtype == torch.float32
    limit = 1e-6 if backend.endswith("fp32") else 0.02
    assert away(found, toy(x)) < limit
    assert (away(found, toy(x)) > 1e-4) == backend.endswith("bf16")


@each
def test_a_network_is_left_as_it_is(toy, backend):
    before = {name: (part.data_ptr(), part.clone()) for name, part in toy.state_dict().items()}
    state = torch.get_rng_state()
    computed_by(backend, toy, SHAPE)(torch.zeros(SHAPE))
    assert torch.equal(torch.get_rng_state(), state)
    for name, part in toy.state_dict().items():
        assert part.data_ptr() == before[name][0]
        assert torch.equal(part, before[name][1])
        assert part.dtype == torch.float32


@pytest.mark.parametrize(("backend", "times"), [("compile fp32", 10), ("openvino bf16", 2)])
def test_making_it_anew_gives_the_same_bits_as_often_as_one_likes(toy, backend, times):
    """Ten times is more often than torch compiles the same code."""
    x = torch.randn(SHAPE)
    first = computed_by(backend, toy, SHAPE)(x)
    for _ in range(times):
        assert torch.equal(computed_by(backend, toy, SHAPE)(x), first)


@each
def test_nothing_stays_in_memory_when_nobody_holds_it(backend):
    network = Toy().eval().requires_grad_(False)
    compute = computed_by(backend, network, SHAPE)
    held = [weakref.ref(compute), weakref.ref(network)]
    del compute, network
    gc.collect()
    assert [one() for one in held] == [None, None]


class Remembering(nn.Module):
    """What it computed once it knows, as state-space layers know their kernel."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.known = None

    def forward(self, x):
        if self.known is None:
            self.known = self.weight.exp()
        return (x * self.known).sum(1)


@each
def test_what_a_network_remembers_stays_a_number(backend):
    """Tracers run a network on what are no numbers; it must not remember those."""
    network = Remembering().eval().requires_grad_(False)
    compute = computed_by(backend, network, (2, 3, 4))
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(compute(x), network(x), rtol=0.02, atol=0.02)
    assert torch.equal(network.known, torch.ones(4).exp())


def test_a_backend_that_errs_is_refused(toy, monkeypatch):
    def wrong(network, precision, noise):
        return lambda x: network(x) * 1.1

    monkeypatch.setitem(_backends._ENGINES, "compile", wrong)
    with pytest.raises(BackendError, match=r"'compile fp32' errs: .* 0\.1 of their size away"):
        computed_by("compile fp32", toy, SHAPE)


def test_a_backend_that_gives_no_numbers_is_refused(toy, monkeypatch):
    monkeypatch.setitem(_backends._ENGINES, "openvino", lambda network, *_: lambda x: network(x) * float("nan"))
    with pytest.raises(BackendError, match="errs"):
        computed_by("openvino bf16", toy, SHAPE)


class Reading(nn.Module):
    """Goes a way that depends on the numbers, so that no tracer can follow."""

    def forward(self, x):
        return x.mean(1) if x.sum().item() > 1e9 else x.mean(1) * 2


@pytest.mark.parametrize("backend", ["compile fp32", "openvino fp32"])
def test_a_network_that_cannot_be_traced_is_refused_with_the_reason(backend):
    with pytest.raises(BackendError, match=f"'{backend}' cannot compute this network here: .*data-dependent"):
        computed_by(backend, Reading(), SHAPE)


def test_what_openvino_cannot_convert_is_refused_with_the_reason(recordings):
    expert = get_expert("ecg-cpc:tiny", backend="openvino fp32")
    with pytest.raises(BackendError, match="fft"):
        expert.embed(expert.prepare(recordings))


def test_without_a_compiler_nothing_is_compiled(toy, monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    with pytest.raises(BackendError, match=r"'compile fp32' cannot compute this network here: .*no-such-compiler"):
        computed_by("compile fp32", toy, SHAPE)


def test_without_openvino_it_says_how_to_get_it(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'enecg\[openvino\]'"):
        computed_by("openvino fp32", toy, SHAPE)


def test_openvino_tells_its_maker_nothing():
    openvino = _backends._openvino()
    assert "openvino_telemetry" not in sys.modules
    assert openvino.tools.ovc.telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


def test_openvino_is_refused_where_it_would_take_float32_for_bfloat16(toy, monkeypatch):
    core = SimpleNamespace(get_property=lambda *_: ["FP32", "INT8"])
    monkeypatch.setattr(_backends, "_openvino", lambda: SimpleNamespace(Core=lambda: core))
    with pytest.raises(BackendError, match="the processor has no bfloat16"):
        computed_by("openvino bf16", toy, SHAPE)


@pytest.mark.parametrize(("dimension", "size", "step"), [(-1, 5, 3), (1, 4, 2), (-2, 6, 6), (2, 7, 1)])
def test_unfolding_by_index_is_unfolding(dimension, size, step):
    x = torch.randn(2, 6, 20)
    if size <= x.shape[dimension]:
        assert torch.equal(_backends._unfold(x, dimension, size, step), x.unfold(dimension, size, step))


def test_an_unknown_backend_is_refused_by_name():
    with pytest.raises(ExpertError, match=r"moment-small: backend 'cuda'; expected one of torch fp32, .*openvino bf16"):
        get_expert("moment-small:tiny", backend="cuda")


def test_every_backend_has_a_fingerprint_of_its_own():
    found = {get_expert("moment-small:tiny", backend=backend).fingerprint for backend in BACKENDS}
    assert len(found) == len(BACKENDS)


@pytest.mark.parametrize("backend", ["torch bf16", "openvino bf16"])
def test_a_recording_has_the_same_bits_alone_and_in_a_batch(recordings, backend):
    expert = get_expert("moment-small:tiny", backend=backend)
    plain = get_expert("moment-small:tiny")
    inputs = expert.prepare(recordings)
    found = expert.embed(inputs)
    assert away(found, plain.embed(inputs)) < 0.01
    for row, recording in enumerate(recordings):
        assert np.array_equal(expert.embed(expert.prepare([recording]))[0], found[row])
    expert.release()
    assert expert._compute is None
    assert np.array_equal(expert.embed(inputs), found)


@pytest.mark.parametrize("name", published_names())
def test_every_published_network_runs_in_bfloat16(recordings, name):
    half, plain = get_expert(f"{name}:tiny", backend="torch bf16"), get_expert(f"{name}:tiny")
    inputs = plain.prepare(recordings)
    assert 1e-5 < away(half.embed(inputs), plain.embed(inputs)) < 0.03


@pytest.mark.parametrize("backend", ["torch bf16", "openvino bf16"])
def test_a_network_s_own_answers_are_computed_in_float32_from_the_embedding(recordings, backend):
    expert, plain = get_expert("ecg-fm-mimic:tiny", backend=backend), get_expert("ecg-fm-mimic:tiny")
    inputs = expert.prepare(recordings)
    embedding, answers = expert.embed_and_answer(inputs)
    assert np.array_equal(embedding, expert.embed(inputs))
    assert np.array_equal(answers, plain.pool_answers(plain.answer_windows(expert.window_embeddings(inputs)), inputs))
    assert np.abs(answers - plain.embed_and_answer(inputs)[1]).max() < 0.01


def test_no_recording_is_blamed_for_a_backend(recordings, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of order")

    monkeypatch.setitem(_backends._ENGINES, "compile", broken)
    with pytest.raises(BackendError, match="RuntimeError: out of order"):
        embed(recordings, [get_expert("moment-small:tiny", backend="compile bf16")])
