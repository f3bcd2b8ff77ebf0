"""Expert `measurements`: what a cardiologist measures, in milliseconds, millivolts and degrees, and the median beat.

It keeps what scaled inputs lose (voltage), answers the RR interval to the sample, and can be explained:
`measurements_table` shows the same numbers to a person, NaN where a wave is not there.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from enecg.experts._card import Card
from enecg.experts._contract import Array, Expert, Inputs
from enecg.experts._registry import register_expert
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.beats import r_peaks
from enecg.signal.delineation import BEFORE, RATE, Beats, Waves, delineate, median_beat
from enecg.signal.resample import resample
from enecg.signal.windows import cut, fill_gaps

if TYPE_CHECKING:
    import polars

Double = npt.NDArray[np.float64]

LARGEST_MV = 1e6
"""Larger samples count as this, so that no sum overflows; no heart gives a thousandth of it."""
BEAT = np.arange(-28, 48)
"""Samples of the median beat kept, at 100 Hz around the R peak."""

RHYTHM = (
    "rr_mean rr_log rr_median rr_sd rr_rmssd rr_min rr_max rr_pnn50 rr_cv rr_iqr rr_lag1 rr_lag2 rr_short rr_long "
    "beats odd_beats odd_early alike_min alike_mean pause"
).split()
INTERVALS = (
    "p_duration pr pr_segment qrs qt qtc_bazett qtc_fridericia st t_peak jt p_axis qrs_axis t_axis qrs_t_angle "
    "qrs_area t_area p_power tq_power tq_low tq_flutter tq_high spike_height sokolow cornell"
).split()
PER_LEAD = "p q r s j st60 st80 t_max t_min t_area qrs_area qrs_span u spike".split()


def _names() -> Iterator[str]:
    for name in (*RHYTHM, *INTERVALS):
        yield name
    for lead in STANDARD_LEADS:
        for name in PER_LEAD:
            yield f"{lead} {name}"
    for lead in STANDARD_LEADS:
        for place in BEAT:
            yield f"{lead} beat {place * 10:+d} ms"


VALUES = tuple(_names())
_MAYBE = (*RHYTHM, *INTERVALS)
"""Those that can be missing by themselves; a lead is missing as a whole."""
FEATURES = (*VALUES, *(f"has {name}" for name in _MAYBE), *(f"has {lead}" for lead in STANDARD_LEADS))
"""What each number of the embedding is: values (0 where missing), then whether they are there."""

_UNITS = {
    "ms": "rr_mean rr_median rr_sd rr_rmssd rr_min rr_max rr_iqr p_duration pr pr_segment qrs qt qtc_bazett "
    "qtc_fridericia st t_peak jt",
    "deg": "p_axis qrs_axis t_axis qrs_t_angle",
    "mv": "p_power spike_height sokolow cornell p q r s j st60 st80 t_max t_min qrs_span u spike",
    "mv_s": "qrs_area t_area",
}
UNITS: Mapping[str, str] = MappingProxyType({name: unit for unit, text in _UNITS.items() for name in text.split()})
"""Units of RHYTHM, INTERVALS and PER_LEAD; what is not here has none (a count, a share, a ratio)."""
_OF_P = ("p_power",)
_OF_T = ("t_axis", "qrs_t_angle", "t_area")


@register_expert
class Measurements(Expert):
    """Rhythm, intervals, axes, amplitudes and the median beat of any standard leads."""

    card = Card(
        name="measurements",
        summary="intervals, axes, amplitudes, rhythm statistics and the median beat",
        dim=len(FEATURES),
        leads=STANDARD_LEADS,
        rate=0,
        seconds=10.0,
        min_seconds=2.0,
        licence="Apache-2.0",
        citation="end of T: Lepeschkin, Surawicz, Circulation 1952;6:378; QTc: Bazett 1920, Fridericia 1920",
        source="computed",
        any_leads=True,
        batch=64,
    )

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """The numbers of each ten-second window, NaN where missing."""
        rows, owner = [], []
        for number, recording in enumerate(recordings):
            n = round(recording.rate * self.card.seconds)
            there = [name for name in STANDARD_LEADS if name in recording.leads]
            signal = recording.select(there).signal
            for part in cut(signal, n) if recording.n_samples > n else [signal]:
                rows.append(measure(part, recording.rate, there))
                owner.append(number)
        windows = np.array(rows, dtype=np.float32).reshape(len(rows), len(VALUES))
        return Inputs(windows, np.array(owner, dtype=np.intp), len(recordings))

    def embed_windows(self, windows: Array) -> Array:
        """Missing values as 0 with a presence column of 0."""
        maybe = ~np.isnan(windows[:, : len(_MAYBE)])
        per_lead = windows[:, len(_MAYBE) : len(_MAYBE) + len(STANDARD_LEADS) * len(PER_LEAD)]
        leads = ~np.isnan(per_lead.reshape(len(windows), len(STANDARD_LEADS), -1)).all(axis=2)
        return np.concatenate([np.nan_to_num(windows), maybe, leads], axis=1).astype(np.float32)


def measure(signal: Array, rate: float, leads: Sequence[str]) -> Double:
    """All of VALUES for one window [lead, sample], mV; NaN where something is not there."""
    signal = np.clip(signal, -LARGEST_MV, LARGEST_MV)
    # Beats are placed at 250 Hz at least: at 100 Hz an RR interval would be a multiple of 10 ms.
    fine, fine_rate = (resample(signal, rate, RATE), RATE) if rate < RATE else (signal, rate)
    peaks = r_peaks(fine, fine_rate)
    beats = median_beat(fine, fine_rate, peaks) if len(peaks) else None
    values = dict.fromkeys(_MAYBE, np.nan)
    table = np.full((len(STANDARD_LEADS), len(PER_LEAD)), np.nan)
    shape = np.full((len(STANDARD_LEADS), len(BEAT)), np.nan)
    values |= _rhythm(peaks / fine_rate * 1000, beats)
    if beats is not None:
        waves = delineate(beats)
        own = _per_lead(beats, waves)
        own[:, -1] = spikes = _spikes(signal, rate, np.round(peaks * rate / fine_rate).astype(np.int64))
        rows = [STANDARD_LEADS.index(name) for name in leads]
        table[rows] = own
        shape[rows] = _beat(beats)
        values |= _intervals(beats, waves, values["rr_mean"], table)
        values |= {"spike_height": float(spikes.max())}
    return np.concatenate([np.array([values[name] for name in _MAYBE]), np.clip(table, -10, 10).ravel(), shape.ravel()])


def measurements_table(recordings: Sequence[Recording]) -> "polars.DataFrame":
    """Measurements for people: a row for each recording, NaN where a wave, an interval or a lead is not there.

    Columns: `id`, `refused` (why nothing could be measured, else null), then RHYTHM, INTERVALS and PER_LEAD of each
    lead, with the unit at the end of the name: `rr_mean_ms`, `qrs_axis_deg`, `V1_r_mv`, `II_t_area_mv_s`. Of a
    recording longer than ten seconds, the mean over its windows. Not the median beat: see `FEATURES` for all.
    """
    import polars

    expert = Measurements()
    rows = []
    for recording in recordings:
        refused = expert.refusal(recording)
        windows = np.full((1, len(VALUES)), np.nan) if refused else expert.prepare([recording]).windows
        rows.append({"id": recording.id, "refused": refused} | _readable(windows))
    text, number = polars.String, polars.Float64
    schema = {"id": text, "refused": text} | dict.fromkeys(_readable(np.full((1, len(VALUES)), np.nan)), number)
    return polars.DataFrame(rows, schema=schema, orient="row")


def _readable(windows: npt.NDArray[np.floating]) -> dict[str, float]:
    """Columns and values of the table, mean over windows [window, VALUES]."""
    values = {name: windows[:, place].astype(np.float64) for place, name in enumerate(VALUES)}
    # An embedding has zero for the size of a wave that is not there; a person is told that it is not there.
    no_p, no_t = np.isnan(values["p_duration"]), np.isnan(values["t_peak"])
    for names, absent in ((_OF_P, no_p), (_OF_T, no_t)):
        for name in names:
            values[name][absent] = np.nan
    columns = {}
    for name in (*RHYTHM, *INTERVALS):
        if name != "rr_log":
            columns[_column(name, name)] = _mean(values[name])
    for lead in STANDARD_LEADS:
        for name in PER_LEAD:
            found = values[f"{lead} {name}"]
            found[no_p if name == "p" else no_t & (name[0] == "t")] = np.nan
            columns[_column(f"{lead}_{name}", name)] = _mean(found)
    return columns


def _column(name: str, kind: str) -> str:
    return f"{name}_{UNITS[kind]}" if kind in UNITS else name


def _mean(values: Double) -> float:
    """Mean of what is there; NaN where nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _rhythm(times: Double, beats: Beats | None) -> dict[str, float]:
    """Statistics of the RR intervals. times : of the beats, ms."""
    rr = np.diff(times)
    if not len(rr):
        return {"beats": float(len(times))}
    mean = float((times[-1] - times[0]) / len(rr))
    change = np.diff(rr)
    found = {
        "rr_mean": mean,
        "rr_log": float(np.log(mean)),
        "rr_median": float(np.median(rr)),
        "rr_sd": float(rr.std()),
        "rr_min": float(rr.min()),
        "rr_max": float(rr.max()),
        "rr_cv": float(rr.std() / mean),
        "rr_iqr": float(np.subtract(*np.percentile(rr, [75, 25]))),
        "rr_short": float(np.mean(rr < 0.85 * np.median(rr))),
        "rr_long": float(np.mean(rr > 1.15 * np.median(rr))),
        "beats": float(len(times)),
        "pause": float(rr.max() / np.median(rr)),
    }
    if len(change):
        found |= {"rr_rmssd": float(np.sqrt(np.mean(change**2))), "rr_pnn50": float(np.mean(np.abs(change) > 50))}
    if len(rr) > 3:
        centred = rr - rr.mean()
        power = max(float((centred**2).sum()), 1e-9)
        found |= {f"rr_lag{lag}": float((centred[lag:] * centred[:-lag]).sum() / power) for lag in (1, 2)}
    if beats is not None:
        odd = beats.alike < 0.8
        before = np.diff(times, prepend=np.nan)[beats.whole]
        early = before < 0.9 * np.median(rr)
        found |= {
            "odd_beats": float(odd.mean()),
            "odd_early": float(np.mean(odd & early)),
            "alike_min": float(beats.alike.min()),
            "alike_mean": float(beats.alike.mean()),
        }
    return found


def _part(beats: Beats, start: float, end: float) -> slice:
    """Samples of the median beat between two times in ms from the R peak."""
    place = [round((BEFORE + ms / 1000) * RATE) for ms in (start, end)]
    return slice(max(0, place[0]), min(beats.median.shape[1], max(place[1], place[0] + 1)))


def _level(beats: Beats, waves: Waves) -> Double:
    """The isoelectric line of each lead: just before QRS, [lead, 1]."""
    part = beats.median[:, _part(beats, waves.qrs_on - 20, waves.qrs_on - 4)]
    return np.asarray(part.mean(axis=1, keepdims=True, dtype=np.float64))


def _per_lead(beats: Beats, waves: Waves) -> Double:
    """Amplitudes in mV and areas in mV s, [lead, PER_LEAD]."""
    beat = beats.median - _level(beats, waves)
    n = len(beat)
    out = np.zeros((n, len(PER_LEAD)))
    qrs = beat[:, _part(beats, waves.qrs_on, waves.qrs_off)]
    if not np.isnan(waves.p_on):
        p = beat[:, _part(beats, waves.p_on, waves.p_off)]
        out[:, 0] = p[np.arange(n), np.abs(p).argmax(axis=1)]
    top = qrs.argmax(axis=1)
    for lead in range(n):
        out[lead, 1] = qrs[lead, : top[lead] + 1].min()
        out[lead, 3] = qrs[lead, top[lead] :].min()
    out[:, 2] = qrs.max(axis=1)
    for column, delay in ((4, 0), (5, 60), (6, 80)):
        out[:, column] = beat[:, _part(beats, waves.qrs_off + delay - 4, waves.qrs_off + delay + 8)].mean(axis=1)
    end = waves.t_off if not np.isnan(waves.t_off) else waves.qrs_off + 250
    t = beat[:, _part(beats, waves.qrs_off + 50, end)]
    out[:, 7], out[:, 8], out[:, 9] = t.max(axis=1), t.min(axis=1), t.sum(axis=1) / RATE
    out[:, 10] = qrs.sum(axis=1) / RATE
    out[:, 11] = np.ptp(qrs, axis=1)
    after = beat[:, _part(beats, min(end + 20, 400), min(end + 100, 500))]
    out[:, 12] = after.mean(axis=1)
    return out


def _intervals(beats: Beats, waves: Waves, rr: float, table: Double) -> dict[str, float]:
    """Intervals in ms (QTc after Bazett 1920 and Fridericia 1920), axes in degrees, atrial activity, voltage sums."""
    qt = waves.t_off - waves.qrs_on
    seconds = rr / 1000
    found = {
        "p_duration": waves.p_off - waves.p_on,
        "pr": waves.qrs_on - waves.p_on,
        "pr_segment": waves.qrs_on - waves.p_off,
        "qrs": waves.qrs_off - waves.qrs_on,
        "qt": qt,
        "qtc_bazett": qt / np.sqrt(seconds),
        "qtc_fridericia": qt / np.cbrt(seconds),
        "st": waves.t_peak - waves.qrs_off,
        "t_peak": waves.t_peak - waves.qrs_on,
        "jt": waves.t_off - waves.qrs_off,
    }
    column = {name: place for place, name in enumerate(PER_LEAD)}
    row = {name: place for place, name in enumerate(STANDARD_LEADS)}
    pairs = {"p_axis": "p", "qrs_axis": "qrs_area", "t_axis": "t_area"}
    for name, source in pairs.items():
        first, foot = table[row["I"], column[source]], table[row["aVF"], column[source]]
        found[name] = float(np.degrees(np.arctan2(2 / np.sqrt(3) * foot, first)))
    if np.isnan(waves.p_on):
        found["p_axis"] = np.nan
    angle = abs(found["qrs_axis"] - found["t_axis"])
    found["qrs_t_angle"] = min(angle, 360 - angle)
    found["qrs_area"] = float(np.nanmean(np.abs(table[:, column["qrs_area"]])))
    found["t_area"] = float(np.nanmean(np.abs(table[:, column["t_area"]])))
    found["p_power"] = float(np.nanmean(np.abs(table[:, column["p"]])))
    high = {lead: table[row[lead]] for lead in ("V1", "V3", "V5", "aVL")}
    found["sokolow"] = high["V5"][column["r"]] - high["V1"][column["s"]]
    found["cornell"] = high["aVL"][column["r"]] - high["V3"][column["s"]]
    return found | _atrial(beats, waves)


def _atrial(beats: Beats, waves: Waves) -> dict[str, float]:
    """What moves between T and the next QRS: the median beat taken away from each beat, and its bands, in mV.

    Fibrillation waves have 4 to 9 Hz, flutter waves 3.5 to 6 with harmonics; noise is higher.
    """
    rest = beats.signal.astype(np.float64).copy()
    offset = round(BEFORE * RATE)
    for place in beats.peaks[beats.whole]:
        part = slice(place - offset, place - offset + beats.median.shape[1])
        after = np.searchsorted(beats.peaks, place, side="right")
        room = beats.peaks[after] - round(0.3 * RATE) if after < len(beats.peaks) else part.stop
        stop = min(part.stop, max(int(room), place + round(0.1 * RATE)))
        begin = place - round(0.06 * RATE)
        rest[:, begin:stop] -= beats.median[:, begin - part.start : stop - part.start]
    for place in beats.peaks:  # What the median does not explain of QRS itself is not atrial.
        rest[:, max(0, place - 15) : place + 18] = 0
    spectrum = np.abs(np.fft.rfft(rest * np.hanning(rest.shape[1]), axis=1)) ** 2
    hertz = np.fft.rfftfreq(rest.shape[1], 1 / RATE)

    def band(low: float, high: float) -> float:
        inside = (hertz >= low) & (hertz < high)
        return float(np.sqrt(spectrum[:, inside].sum(axis=1).mean()) / rest.shape[1])

    inside = (hertz >= 3.5) & (hertz < 10)
    total = np.sqrt(spectrum[:, inside]).mean(axis=0)
    return {
        "tq_power": 100 * band(3.5, 10),
        "tq_low": 100 * band(1, 3.5),
        "tq_high": 100 * band(10, 30),
        "tq_flutter": float(total.max() / max(total.mean(), 1e-9)) if len(total) else np.nan,
    }


def _spikes(signal: Array, rate: float, peaks: npt.NDArray[np.int64]) -> Double:
    """Steepest single-sample excursion in the 200 ms before each beat, mV, median over beats: pacing spikes, [lead]."""
    filled = fill_gaps(signal).astype(np.float64)
    bend = np.abs(filled[:, 2:] - 2 * filled[:, 1:-1] + filled[:, :-2]) / 2
    width = round(0.2 * rate)
    found = [bend[:, max(0, p - width) : max(1, p - 1)].max(axis=1) for p in peaks if p > 3]
    return np.median(found, axis=0) if found else np.zeros(len(signal))


def _beat(beats: Beats) -> Array:
    """The median beat at 100 Hz: [lead, len(BEAT)], mV."""
    long = np.pad(beats.median, [(0, 0), (10, 10)], mode="edge")
    fine = resample_poly(long, 2, 5, axis=1)
    place = round((BEFORE + 10 / RATE) * 100) + BEAT
    return np.asarray(np.clip(fine[:, place], -10, 10), dtype=np.float32)
