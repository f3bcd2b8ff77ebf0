"""Expert `tempo-80m`: TEMPO, a forecaster of time series on top of GPT-2, as EnECG feeds it.

Cao et al., ICLR 2024, arXiv 2310.04948; github.com/DC-research/TEMPO (MIT), weights on the hub (Apache-2.0).
Trend, season and rest of a series are cut into overlapping patches; with a prompt in front of each part they go through
the first six layers of GPT-2 as one sequence. Easy to get wrong: LoRA stays beside the queries, keys and values (maps
of GPT-2 are stored [in, out], LoRA's [out, in]), the activation is the tanh form of GELU, prompts have positions too,
and the last sample is repeated before the series is cut.

EnECG (arXiv 2511.22935) gives the three parts of an STL decomposition as they are, and takes the forecast of 96 steps
for features. The embedding here is richer: GPT-2's last normalised tokens, averaged over the patches of each part. The
forecast stays, to be held against golden numbers; the expert does without the tensors that only it needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, pad

from enecg.errors import MissingPackageError
from enecg.experts._card import Card
from enecg.experts._contract import Array, Inputs
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.leads import arrange, derive
from enecg.signal.resample import resample_fourier
from enecg.signal.windows import cut
from enecg.weights import Origin

LEAD, SECONDS, SAMPLES, PERIOD = "II", 10.0, 336, 50
"""What is read: this lead, windows of so many seconds as so many samples; and the period of their decomposition."""

PARTS = ("trend", "season", "noise")

PROMPTS = (
    (47, 17407, 262, 2003, 640, 2239, 1813, 262, 5182),
    (47, 17407, 262, 2003, 640, 2239, 1813, 262, 1622),
    (47, 17407, 262, 2003, 640, 2239, 1813, 262, 29598),
)
"""Tokens of GPT-2: "Predict the future time step given the trend", "... season", "... residual"."""

_KERNEL, _EPSILON = 25, 1e-5
"""Of the moving average, fixed in the published code; added to a variance."""


@dataclass(frozen=True)
class Size:
    """Settings of TEMPO and of the GPT-2 in it.

    prompts : tokens in front of the trend's, the season's and the rest's patches, as many each.
    """

    seq_len: int = SAMPLES
    pred_len: int = 96
    patch_size: int = 16
    stride: int = 8
    gpt_layers: int = 6
    d_model: int = 768
    n_head: int = 12
    vocab_size: int = 50257
    n_positions: int = 1024
    lora_rank: int = 16
    prompts: tuple[tuple[int, ...], ...] = PROMPTS

    @property
    def n_patches(self) -> int:
        """Of each part; the repeated last sample makes one more."""
        return (self.seq_len - self.patch_size) // self.stride + 2

    @property
    def dim(self) -> int:
        """A mean token for each part."""
        return len(PARTS) * self.d_model


class _Adapted(nn.Module):
    """A map of GPT-2 and LoRA beside it, alpha / rank = 1, under PEFT's names."""

    def __init__(self, base: nn.Module, n_in: int, n_out: int, rank: int) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(n_in, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, n_out, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))
        return found


def _adapted_gpt2(size: Size) -> Any:
    from transformers import GPT2Config, GPT2Model

    width = size.d_model
    config = GPT2Config(
        n_embd=width,
        n_layer=size.gpt_layers,
        n_head=size.n_head,
        vocab_size=size.vocab_size,
        n_positions=size.n_positions,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    gpt2: Any = GPT2Model(config)
    for block in gpt2.h:
        block.attn.c_attn = _Adapted(block.attn.c_attn, width, 3 * width, size.lora_rank)
    return gpt2


class Tempo(nn.Module):
    """Trend, season and rest, [window, part, sample], -> [window, dim]."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        n, width = size.seq_len, size.d_model
        self.size = size
        self.mul_season = nn.ParameterDict({"a": torch.ones(2, 1), "b": torch.ones(2, 1)})
        self.map_trend = nn.Linear(n, n)
        self.map_season = nn.Sequential(nn.Linear(n, 4 * n), nn.ReLU(), nn.Linear(4 * n, n))
        self.map_resid = nn.Linear(n, n)
        self.gpt2_trend = nn.ModuleDict({"base_model": nn.ModuleDict({"model": _adapted_gpt2(size)})})
        self.rev_in_trend, self.rev_in_season, self.rev_in_noise = (
            nn.ParameterDict({"affine_weight": torch.ones(1), "affine_bias": torch.zeros(1)}) for _ in PARTS
        )
        for part in PARTS:
            self.add_module(f"in_layer_{part}", nn.Linear(size.patch_size, width))
            self.add_module(f"prompt_layer_{part}", nn.Linear(width, width))
            self.add_module(f"out_layer_{part}", nn.Linear(size.n_patches * width, size.pred_len))

    def forward(self, parts: Tensor) -> Tensor:
        """Mean over the patches of each part."""
        return self.features(parts).mean(-2).flatten(1)

    def features(self, parts: Tensor) -> Tensor:
        """GPT-2's last normalised tokens without the prompts': [window, part, patch, width]."""
        tokens = self._gpt2(inputs_embeds=self.tokens(parts)).last_hidden_state
        return torch.unflatten(tokens, 1, (len(PARTS), -1))[:, :, -self.size.n_patches :]

    def tokens(self, parts: Tensor) -> Tensor:
        """What GPT-2 reads, [window, token, width]: of each part in turn the prompt, then the patches."""
        patches = pad(parts, (0, self.size.stride), mode="replicate").unfold(-1, self.size.patch_size, self.size.stride)
        words = self._gpt2.wte.weight
        found = []
        for number, part in enumerate(PARTS):
            prompt = self._layer("prompt", part)(words[list(self.size.prompts[number])])
            found += [prompt.expand(len(parts), -1, -1), self._layer("in", part)(patches[:, number])]
        return torch.cat(found, 1)

    def forecast(self, x: Tensor, parts: Tensor | None = None) -> Tensor:
        """How a series goes on: [window, sample] -> [window, pred_len].

        parts : [window, part, sample], read as they are (EnECG's way); by default the network's own decomposition of
        the normalised series.
        """
        normal, undo = self.normalise(x)
        features = self.features(self.decompose(normal) if parts is None else parts).flatten(2)
        steps = [self._layer("out", part)(features[:, number]) for number, part in enumerate(PARTS)]
        return undo(torch.stack(steps).sum(0))

    def normalise(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Series in units of their own deviation, with a learned scale and shift; and the way back from there."""
        mean, deviation = x.mean(-1, keepdim=True), torch.sqrt(x.var(-1, keepdim=True, correction=0) + _EPSILON)
        weight, bias = self.rev_in_trend["affine_weight"], self.rev_in_trend["affine_bias"]
        return (x - mean) / deviation * weight + bias, lambda normal: (normal - bias) / weight * deviation + mean

    def decompose(self, x: Tensor) -> Tensor:
        """Learned trend and season of normalised series, and what they leave: [window, part, sample]."""
        edge = _KERNEL // 2
        smooth = avg_pool1d(pad(x[:, None], (edge, edge), mode="replicate"), _KERNEL, stride=1)[:, 0]
        trend = self.map_trend(smooth)
        season = self.map_season(x - trend)
        return torch.stack([trend, season, x - trend - season], 1)

    @property
    def _gpt2(self) -> Any:
        return self.gpt2_trend.get_submodule("base_model.model")

    def _layer(self, kind: str, part: str) -> nn.Module:
        return self.get_submodule(f"{kind}_layer_{part}")


def standardised(record: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """z-score with one mean and one population deviation of all leads together, in double precision: [lead, sample].

    Missing and infinite samples count as zero; a constant record becomes zero.
    """
    filled = np.nan_to_num(record.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray((filled - filled.mean()) / (filled.std() or 1.0), dtype=np.float64)


def stl_parts(lead: npt.NDArray[np.float64]) -> Array:
    """Trend, season and rest of a lead [sample]: float32 [part, sample].

    STL (Cleveland et al. 1990) with statsmodels' defaults. Raises MissingPackageError without statsmodels.
    """
    try:
        from statsmodels.tsa.seasonal import STL
    except ImportError as error:
        raise MissingPackageError("tempo-80m needs statsmodels for its input: pip install 'enecg[tempo]'") from error
    found = STL(lead, period=PERIOD).fit()
    return np.stack([found.trend, found.seasonal, found.resid]).astype(np.float32)


@register_expert
class TempoExpert(Published):
    """Three STL parts of lead II."""

    size = Size()
    tiny = Size(
        pred_len=2,
        gpt_layers=1,
        d_model=32,
        n_head=2,
        vocab_size=8,
        n_positions=132,
        lora_rank=2,
        prompts=((1, 2), (1, 3), (1, 4)),
    )
    unused = ("mul_season.*", "map_*", "rev_in_*", "out_layer_*")
    origin = Origin(repository="Melady/TEMPO", file="TEMPO-80M_v1.pth")
    card = Card(
        name="tempo-80m",
        summary="a forecaster on top of GPT-2 reads trend, season and rest of lead II",
        dim=2304,
        leads=(LEAD,),
        rate=SAMPLES / SECONDS,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=94_439_770,
        licence="Apache-2.0 (weights), MIT (code)",
        citation="Cao et al., ICLR 2024, arXiv 2310.04948; EnECG, arXiv 2511.22935",
        source="github.com/DC-research/TEMPO",
        batch=1,
        seen=("electricity", "ett", "traffic", "weather"),
    )

    @staticmethod
    def network(size: Size) -> Tempo:
        """TEMPO."""
        return Tempo(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds, z-scored over all their standard leads, lead II as 336 samples in three parts.

        Scale and resampling are EnECG's; a shorter recording starts again, where EnECG stretches it to ten seconds.
        """
        windows, owner = [np.empty((0, len(PARTS), SAMPLES), dtype=np.float32)], []
        for row, recording in enumerate(recordings):
            signal, names, _ = derive(recording.signal, recording.leads)
            leads = [lead for lead in STANDARD_LEADS if lead in names]
            for record in cut(arrange(signal, names, leads), round(SECONDS * recording.rate)):
                lead = resample_fourier(standardised(record)[leads.index(LEAD)], SAMPLES)
                windows.append(stl_parts(lead)[None])
                owner.append(row)
        return Inputs(np.concatenate(windows), np.array(owner, dtype=np.intp), len(recordings))
