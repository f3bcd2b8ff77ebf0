"""What computes a network: torch as it is, torch compiled, or OpenVINO, each in float32 or in bfloat16.

In bfloat16, linear layers and convolutions have their weights and what they compute in it (torch's autocast, with the
weights cast once); scaling of the input, norms and means stay float32. OpenVINO decides by rules of its own.
All but plain torch are made for inputs of one shape, which takes seconds to minutes. A backend that cannot compute a
network here is refused with the reason; nothing else is taken in its place.
"""

import copy
import sys
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from enecg.errors import BackendError, MissingPackageError

Compute = Callable[[Tensor], Tensor]

NEAR = {"fp32": 1e-3, "bf16": 0.05}
"""How far a backend's numbers may be from plain torch's, as a share of their norm. Seen: 2e-6 and 0.01."""


def computed_by(backend: str, network: nn.Module, shape: tuple[int, ...]) -> Compute:
    """The network's forward pass, float32 [window, ...] of this shape -> float32 [window, dim].

    The network, in evaluation mode, stays as it is, and shares its weights where it can. The first pass is on noise
    and is compared with plain torch. Raises MissingPackageError, or BackendError if the backend cannot compute it here.
    """
    if backend == "torch fp32":
        return network
    engine, precision = backend.split()
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = network(noise)
    try:
        with warnings.catch_warnings():
            # Of tracers and compilers about themselves: nobody here can do anything about them.
            warnings.simplefilter("ignore")
            compute = _ENGINES[engine](network, precision, noise)
            found = compute(noise)
    except MissingPackageError:
        raise
    except Exception as error:  # whatever stops a tracer or compiler is the reason
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 600)
        raise BackendError(f"backend {backend!r} cannot compute this network here: {reason}") from error
    away = float((found - expected).norm() / expected.norm())
    if not away <= NEAR[precision]:
        raise BackendError(
            f"backend {backend!r} errs: its numbers are {away:.2g} of their size away from plain torch's; use another"
        )
    return compute


def _by_torch(network: nn.Module, precision: str, noise: Tensor) -> Compute:
    return _in_precision(network, precision)


def _by_compiler(network: nn.Module, precision: str, noise: Tensor) -> Compute:
    # Traced first: a network that is loaded again would else count as the same code recompiled, and a few times is all
    # that the compiler allows.
    traced = torch.export.export(_in_precision(network, precision), (noise,)).module()
    compiled: Compute = torch.compile(traced, fullgraph=True, dynamic=False)
    return compiled


def _by_openvino(network: nn.Module, precision: str, noise: Tensor) -> Compute:
    openvino = _openvino()
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise BackendError("the processor has no bfloat16, and OpenVINO would compute in float32")
    traced = torch.export.export(_twin(network), (noise,)).run_decompositions({torch.ops.aten.unfold.default: _unfold})
    settings = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        # Several processes would all sit on the first core.
        "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
    request = core.compile_model(openvino.convert_model(traced), "CPU", settings).create_infer_request()
    return lambda windows: torch.from_numpy(request.infer([windows.numpy()], share_outputs=False)[0])


_ENGINES: dict[str, Callable[[nn.Module, str, Tensor], Compute]] = {
    "torch": _by_torch,
    "compile": _by_compiler,
    "openvino": _by_openvino,
}


class _Half(nn.Module):
    """A network in bfloat16 where that does no harm."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for part in network.modules():
            if type(part) in (nn.Linear, nn.Conv1d, nn.Conv2d):
                for name, weight in list(part.named_parameters(recurse=False)):
                    setattr(part, name, nn.Parameter(weight.to(torch.bfloat16), requires_grad=False))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            found: Tensor = self.network(x)
        return found.to(torch.float32)


def _in_precision(network: nn.Module, precision: str) -> nn.Module:
    return _Half(_twin(network)) if precision == "bf16" else _twin(network)


def _twin(network: nn.Module) -> nn.Module:
    """A copy that shares the tensors: what tracing or casting leaves in its modules is not in the network."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """`Tensor.unfold` by indexing, since OpenVINO's own conversion of it fails."""
    n = (x.shape[dimension] - size) // step + 1
    places = step * torch.arange(n)[:, None] + torch.arange(size)
    return x.movedim(dimension, -1)[..., places].movedim(-2, dimension if dimension >= 0 else dimension - 1)


def _openvino() -> Any:
    """The package without its telemetry, which would tell its maker of every import and conversion, unasked."""
    telemetry = "openvino_telemetry"
    hidden = telemetry not in sys.modules
    if hidden:
        sys.modules[telemetry] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise MissingPackageError(
            f"OpenVINO needs the package openvino ({error}): pip install 'enecg[openvino]'"
        ) from error
    finally:
        if hidden:
            del sys.modules[telemetry]
    return openvino
