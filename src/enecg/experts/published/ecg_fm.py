"""Experts `ecg-fm` (pre-trained), `ecg-fm-physionet` (fine-tuned, 26 labels), `ecg-fm-mimic` (17 labels): ECG-FM.

McKeen et al. 2024, arXiv 2408.05178; github.com/bowang-lab/ECG-FM (MIT), weights on the hub (MIT).
Five seconds at a time. Easy to get wrong: leads are resampled by lines between samples, stretched so that both ends
coincide; a lead is scaled over the whole recording, before it is cut; the rest that fills no five seconds is dropped.
Not published: recordings shorter than that are repeated, before they are scaled, and missing samples bridged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from enecg.experts._card import Card
from enecg.experts._contract import Array, Inputs
from enecg.experts._published import Labels, Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import wanted_leads
from enecg.experts.published import _wav2vec
from enecg.experts.published._wav2vec import PretrainedWav2Vec, Size, Wav2Vec
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.scale import PER_LEAD, zscore
from enecg.signal.windows import fill_gaps
from enecg.weights import Origin

RATE, SECONDS = 500.0, 5.0
SAMPLES = round(RATE * SECONDS)

_TINY: dict[str, int] = {
    "conv_dim": 16,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "encoder_layers": 2,
    "conv_pos": 32,
    "conv_pos_groups": 4,
    "final_dim": 8,
    "latent_vars": 10,
}


@dataclass(frozen=True)
class ClassifierSize(Size):
    """Settings of the fine-tuned network."""

    num_labels: int = 26


class Classifier(nn.Module):
    """[window, lead, sample] -> [window, dim], with answers."""

    def __init__(self, size: ClassifierSize) -> None:
        super().__init__()
        self.encoder = Wav2Vec(size)
        self.proj = nn.Linear(size.dim, size.num_labels)

    def forward(self, windows: Tensor, padding: Tensor | None = None) -> Tensor:
        """As of Wav2Vec."""
        found: Tensor = self.encoder(windows, padding)
        return found

    def answer(self, embedding: Tensor) -> Tensor:
        """Logits, [window, label]."""
        found: Tensor = self.proj(embedding)
        return found


def stretched(signal: npt.NDArray[np.floating], rate: float, to: float) -> npt.NDArray[np.float64]:
    """Another sampling rate by lines between samples, the first and the last one kept: [..., sample]."""
    if rate == to:
        return signal.astype(np.float64)
    n = signal.shape[-1]
    new = int(n * to / rate)
    places = np.linspace(0, new - 1, n)
    flat = signal.reshape(-1, n).astype(np.float64)
    return np.stack([np.interp(np.arange(new), places, line) for line in flat]).reshape(*signal.shape[:-1], new)


def segments(signal: npt.NDArray[np.floating], rate: float, n: int = SAMPLES) -> Array:
    """A recording's windows of `n` samples, [window, lead, sample], from its signal without gaps."""
    signal = stretched(signal, rate, RATE)
    if signal.shape[-1] < n:
        signal = signal[:, np.arange(n) % signal.shape[-1]]
    # The epsilon of the published quick start; the published pipeline has none, and sets constant leads to zero.
    scaled = zscore(signal, PER_LEAD, epsilon=1e-8)
    whole = scaled[:, : scaled.shape[-1] // n * n]
    return np.ascontiguousarray(whole.reshape(len(whole), -1, n).swapaxes(0, 1))


class _ECGFM(Published):
    attention = _wav2vec.ATTENTION
    tiny: ClassVar[Size]

    @staticmethod
    def network(size: Any) -> nn.Module:
        """The pre-trained one, or a Classifier."""
        return Classifier(size) if isinstance(size, ClassifierSize) else PretrainedWav2Vec(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Whole five seconds at 500 Hz, each lead z-scored over the recording."""
        leads = self.card.leads
        made = [segments(fill_gaps(wanted_leads(recording, leads)), recording.rate) for recording in recordings]
        owner = [row for row, part in enumerate(made) for _ in part]
        windows = np.concatenate([np.empty((0, len(leads), SAMPLES), dtype=np.float32), *made])
        return Inputs(windows, np.array(owner, dtype=np.intp), len(recordings))


def _card(name: str, summary: str, parameters: int) -> Card:
    return Card(
        name=name,
        summary=summary,
        dim=768,
        leads=STANDARD_LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="MIT",
        citation="McKeen et al. 2024, arXiv 2408.05178",
        source="github.com/bowang-lab/ECG-FM",
        batch=1,
        # The Challenge's collection contains PTB-XL.
        seen=("mimic-iv-ecg", "challenge2021", "ptbxl"),
    )


@register_expert
class ECGFM(_ECGFM):
    """Pre-trained, without labels."""

    size = Size()
    tiny = Size(**_TINY)
    unused = _wav2vec.PRETRAINING
    origin = Origin(
        repository="wanglab/ecg-fm",
        file="mimic_iv_ecg_physionet_pretrained.pt",
        inside=("model",),
        sha256="4d0142bcb485eb9f0c7845e0c19ff3463f6ae9d0e458eab69136efe90ceb9b7e",
    )
    card = _card("ecg-fm", "a transformer pre-trained on MIMIC-IV-ECG and the Challenge of 2021", 90_883_072)


@register_expert
class ECGFMPhysioNet(_ECGFM):
    """Fine-tuned on the Challenge's labels; how its windows' answers are pooled is not published: their mean."""

    size = ClassifierSize(num_labels=26)
    tiny = ClassifierSize(**_TINY, num_labels=26)
    labels = Labels("ecg_fm_physionet.txt", "github.com/physionetchallenges/evaluation-2021, weights.csv")
    origin = Origin(
        repository="wanglab/ecg-fm",
        revision="8fb94b0b7fe0b929f8eb469a92e52ae676850a6f",
        file="physionet_finetuned.pt",
        inside=("model",),
    )
    card = _card("ecg-fm-physionet", "ECG-FM fine-tuned on 26 labels of the PhysioNet Challenge 2021", 90_393_242)


@register_expert
class ECGFMMimic(_ECGFM):
    """Fine-tuned on labels from the machine reports of MIMIC-IV-ECG."""

    size = ClassifierSize(num_labels=17)
    tiny = ClassifierSize(**_TINY, num_labels=17)
    labels = Labels(
        "ecg_fm_mimic.txt",
        "github.com/bowang-lab/ECG-FM, data/mimic_iv_ecg/labels/label_def.csv",
        sporadic=frozenset(
            {
                "Poor data quality",
                "Premature ventricular contraction",
                "Ventricular tachycardia",
                "Supraventricular tachycardia with aberrancy",
                "Electronic pacemaker",
            }
        ),
    )
    origin = Origin(repository="wanglab/ecg-fm", file="mimic_iv_ecg_finetuned.pt", inside=("model",))
    card = _card("ecg-fm-mimic", "ECG-FM fine-tuned on 17 labels of MIMIC-IV-ECG", 90_386_321)
