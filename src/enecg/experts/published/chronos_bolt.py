"""Experts `chronos-bolt-tiny`, `-mini`, `-small`, `-base`: the encoder of Chronos-Bolt, a forecaster of any series.

Ansari et al., TMLR 2024, arXiv 2403.07815; github.com/amazon-science/chronos-forecasting. A T5 reads patches of 16
samples, each beside a mask that says which samples are missing, and scales every series by itself.
The network is its authors' own, from their package (`pip install 'enecg[chronos]'`). No reference outputs were at hand,
so there are no golden numbers: random weights of this layout give what the package gives, and the published file is
compared with the layout name by name when it is pulled.

How a recording becomes series is our choice, since nobody has published one: each of twelve leads by itself at 200 Hz,
which puts ten seconds into the 2048 samples that the model reads, and the mean of all patches of all leads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from enecg.errors import MissingPackageError
from enecg.experts._card import Card
from enecg.experts._contract import Inputs
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import windows_of
from enecg.recording import STANDARD_LEADS, Recording
from enecg.weights import Origin

RATE, SECONDS = 200.0, 10.0
LARGEST = 100.0
"""mV; no ECG exceeds it, and far larger numbers would overflow where the model squares them."""

SETTINGS: Mapping[str, Any] = {
    "chronos_config": {
        "context_length": 2048,
        "input_patch_size": 16,
        "input_patch_stride": 16,
        "prediction_length": 64,
        "quantiles": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        "use_reg_token": True,
    },
    "decoder_start_token_id": 0,
    "feed_forward_proj": "relu",
    "initializer_factor": 0.05,
    "vocab_size": 2,
}
"""What the published config.json says, the same in all sizes."""


@dataclass(frozen=True)
class Size:
    """Settings of a T5, as its authors name them; a decoder has as many layers as its encoder."""

    d_model: int = 768
    d_ff: int = 3072
    d_kv: int = 64
    num_heads: int = 12
    num_layers: int = 12

    @property
    def dim(self) -> int:
        """Width of a patch."""
        return self.d_model


class Encoder(nn.Module):
    """[window, lead, sample], NaN where missing -> [window, dim]: the package's model, as far as its encoder."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        # Its parts and not itself, whose name would come before the published ones.
        for name, part in model.named_children():
            self.add_module(name, part)
        self._encode = model.encode

    def forward(self, x: Tensor) -> Tensor:
        """Mean of the patches of all leads, but for those without any sample."""
        tokens, _, _, known = self._encode(x.flatten(0, 1))
        # The last token is no patch.
        weights = known[:, :-1].reshape(len(x), -1, 1)
        patches = tokens[:, :-1].reshape(*weights.shape[:2], -1)
        mean: Tensor = (patches * weights).sum(1) / weights.sum(1).clamp(min=1)
        return mean


class _ChronosBolt(Published):
    unused = ("encoder.embed_tokens.weight", "decoder.*", "output_patch_embedding.*")
    attention = r"encoder\.block\.\d+\.layer\.0\.SelfAttention\.[qkvo]"
    tiny = Size(d_model=16, d_ff=32, d_kv=8, num_heads=2, num_layers=2)
    size: ClassVar[Size]

    @staticmethod
    def network(size: Any) -> Encoder:
        """The package's. Raises MissingPackageError."""
        try:
            from chronos.chronos_bolt import ChronosBoltModelForForecasting
        except ImportError as error:
            raise MissingPackageError(
                f"Chronos-Bolt needs the package chronos-forecasting ({error}): pip install 'enecg[chronos]'"
            ) from error
        from transformers import T5Config

        return Encoder(ChronosBoltModelForForecasting(T5Config(**asdict(size), **SETTINGS)))

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds of twelve leads at 200 Hz in mV; missing samples stay NaN, and the model scales."""
        inputs = windows_of(recordings, STANDARD_LEADS, RATE, SECONDS, gaps="keep")
        return Inputs(np.clip(inputs.windows, -LARGEST, LARGEST), inputs.owner, inputs.n_recordings)


def _card(name: str, size: Size, parameters: int) -> Card:
    return Card(
        name=name,
        summary="forecasting of any time series (package chronos-forecasting; no golden numbers)",
        dim=size.dim,
        leads=STANDARD_LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="Apache-2.0",
        citation="Ansari et al., TMLR 2024, arXiv 2403.07815",
        source="github.com/amazon-science/chronos-forecasting",
        batch=1,
        seen=("unknown",),
    )


def _origin(name: str) -> Origin:
    return Origin(repository=f"amazon/{name}", file="model.safetensors")


@register_expert
class ChronosBoltTiny(_ChronosBolt):
    """Of the size of t5-efficient-tiny."""

    size = Size(d_model=256, d_ff=1024, num_heads=4, num_layers=4)
    origin = _origin("chronos-bolt-tiny")
    card = _card("chronos-bolt-tiny", size, 8_652_672)


@register_expert
class ChronosBoltMini(_ChronosBolt):
    """Of the size of t5-efficient-mini."""

    size = Size(d_model=384, d_ff=1536, num_heads=8, num_layers=4)
    origin = _origin("chronos-bolt-mini")
    card = _card("chronos-bolt-mini", size, 21_236_096)


@register_expert
class ChronosBoltSmall(_ChronosBolt):
    """Of the size of t5-efficient-small."""

    size = Size(d_model=512, d_ff=2048, num_heads=8, num_layers=6)
    origin = _origin("chronos-bolt-small")
    card = _card("chronos-bolt-small", size, 47_718_016)


@register_expert
class ChronosBoltBase(_ChronosBolt):
    """Of the size of t5-efficient-base."""

    size = Size()
    origin = _origin("chronos-bolt-base")
    card = _card("chronos-bolt-base", size, 205_292_928)
