"""Heart beats: where the R peaks are, one answer from all leads given."""

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import median_filter
from scipy.signal import find_peaks

from enecg.signal.filters import bandpass
from enecg.signal.resample import resample
from enecg.signal.windows import fill_gaps

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Samples = npt.NDArray[np.int64]

DETECTION_RATE = 250.0
"""Hz at which beats are found; finer recordings are aligned at their own rate afterwards."""
_REFRACTORY = 0.24
"""Seconds in which no second beat can follow: 250 beats a minute at most."""
_BLOCK = 1.6
"""Seconds within which a beat is expected: the largest peaks of such blocks say how high a beat is."""
_SMOOTH = 0.08
"""Seconds over which slopes are gathered, about as long as a QRS complex."""
_STEEP, _BULK = 0.33, 0.22
"""Shares of a typical beat's slope and of its size that a peak needs; T waves lack the first, spikes the second."""
_REACH, _HALF = 0.06, 0.1
"""Seconds by which a beat may move when aligned, and half the length of the complex that is compared."""
_FLAT_MV = 2e-3


def r_peaks(signal: Array, rate: float) -> Samples:
    """Samples of the R peaks, rising; int64 [beat], empty where none is found.

    signal : [lead, sample], mV, NaN where missing, any leads;  rate : Hz.

    Leads are put on one scale. A beat is a place where the root mean square over leads of the slope (5 to 30 Hz; it has
    no polarity) is high for the neighbourhood, and where the deflection itself (3 to 12 Hz) is too: T waves and
    noise fail the first, pacing spikes the second. Where nothing stands out, the detector of the package sleepecg
    decides. Each beat is then moved to where it correlates best with the median complex of all leads, and all
    together to the largest deflection of that complex, so that RR intervals are exact to a sample.
    """
    usable = ~np.isnan(signal).all(axis=1)
    filled = fill_gaps(np.ascontiguousarray(signal[usable], dtype=np.float32))
    filled = filled[np.ptp(filled, axis=1) > _FLAT_MV] if filled.shape[1] else filled
    if not len(filled) or filled.shape[1] < rate:
        return np.empty(0, dtype=np.int64)
    even = resample(filled, rate, DETECTION_RATE)
    band = bandpass(even, DETECTION_RATE, 5.0, 30.0, order=2)
    scale = _typical(band)
    band = band / scale
    low = bandpass(even, DETECTION_RATE, 3.0, 12.0, order=2)
    found = _detect(_slope(band), _magnitude(low / scale))
    found = _aligned(band, found, DETECTION_RATE, _REACH)
    if rate <= DETECTION_RATE:
        own = np.round(found * (rate / DETECTION_RATE)).astype(np.int64)
        return np.unique(np.clip(own, 0, signal.shape[1] - 1))
    fine = bandpass(filled, rate, 5.0, 40.0, order=2) / scale
    return _aligned(fine, np.round(found * (rate / DETECTION_RATE)).astype(np.int64), rate, 0.012)


def mean_rr(peaks: Samples, rate: float) -> float:
    """Mean time between beats in ms; NaN with fewer than two."""
    return float((peaks[-1] - peaks[0]) / (len(peaks) - 1) / rate * 1000) if len(peaks) > 1 else float("nan")


def _typical(band: Array) -> Array:
    """A size of each lead, [lead, 1], that noise and beats both raise, so that a noisy lead counts for less."""
    size = np.abs(band[:, ::3])
    made = np.median(size, axis=1, keepdims=True) + np.percentile(size, 98, axis=1, keepdims=True)
    return np.asarray(np.maximum(made, 1e-6), dtype=np.float32)


def _slope(band: Array) -> Double:
    """Root mean square over leads of the slope, gathered over a complex: [sample]."""
    speed = np.sqrt(np.mean(np.gradient(band, axis=1) ** 2, axis=0, dtype=np.float64))
    return _gathered(speed)


def _magnitude(band: Array) -> Double:
    """Root mean square over leads: [sample]."""
    return np.asarray(np.sqrt(np.mean(band**2, axis=0, dtype=np.float64)))


def _gathered(values: Double) -> Double:
    width = round(_SMOOTH * DETECTION_RATE)
    window = np.hanning(width + 2)[1:-1]
    return np.asarray(np.convolve(values, window / window.sum(), mode="same"))


def _detect(steep: Double, size: Double) -> Samples:
    """Peaks of `steep` that are high among their neighbours in both measures."""
    top, floor = np.percentile(steep, 98), np.median(steep)
    if top <= 1.6 * floor:
        # Imported here: half a second that recordings with clear beats do not pay.
        from sleepecg.heartbeats import detect_heartbeats

        return np.asarray(detect_heartbeats(steep, DETECTION_RATE), dtype=np.int64)
    places = np.asarray(find_peaks(steep, distance=round(_REFRACTORY * DETECTION_RATE))[0], dtype=np.int64)
    reach = round(0.05 * DETECTION_RATE)
    near = np.clip(places[:, None] + np.arange(-reach, reach + 1), 0, len(size) - 1)
    bulk = size[near].max(axis=1) if len(places) else np.empty(0)
    heights = steep[places]
    high = heights > floor + _STEEP * (_reference(steep, places) - floor)
    return places[high & (bulk > _BULK * _reference(size, places))]


def _reference(values: Double, places: Samples) -> Double:
    """How high beats are around each place: the median of the maxima of five blocks of some seconds."""
    block = min(len(values), round(_BLOCK * DETECTION_RATE))
    starts = np.arange(0, len(values) - block + 1, block)
    maxima = np.maximum.reduceat(values, starts)
    smooth = median_filter(maxima, size=min(5, len(maxima)), mode="nearest")
    return np.asarray(np.interp(places, starts + block / 2, smooth))


def _aligned(band: Array, beats: Samples, rate: float, reach_seconds: float) -> Samples:
    """Each beat moved by up to `reach_seconds` to where all leads fit the median complex best, [beat].

    The correlation with the median complex is taken at every sample at once, through the Fourier transform.
    """
    reach, half, n = round(reach_seconds * rate), round(_HALF * rate), band.shape[1]
    if len(beats) < 2:
        return beats
    offsets, shifts = np.arange(-half, half + 1), np.arange(-reach, reach + 1)
    size = next_fast_len(n + 2 * half, real=True)
    spectrum = rfft(band, size, axis=1)
    moved = beats
    for _ in range(2):
        inner = moved[(moved >= half) & (moved < n - half)]
        if len(inner) < 2:
            return beats
        complex_ = np.median(band[:, inner[:, None] + offsets], axis=1)
        fit = irfft((spectrum * np.conj(rfft(complex_, size, axis=1))).sum(axis=0), size)
        # fit[t] belongs to a complex that starts at t: its middle is `half` later; before the signal it wraps around.
        places = beats[:, None] + shifts
        values = np.where((places >= 0) & (places < n), fit[(places - half) % size], -np.inf)
        moved = beats + shifts[values.argmax(axis=1)]
    centre = slice(half - reach, half + reach + 1)
    middle = int(_magnitude(complex_[:, centre]).argmax()) - reach
    return np.unique(np.clip(moved + middle, 0, n - 1))
