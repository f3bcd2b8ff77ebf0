"""Small files of every format, mostly by the writers that the tests of the formats have: what the fuzzer begins with.

`seeds()` gives each as {name: bytes}, in which the first is the one to be read; `sealed()` renews the checksums of a
file that was changed, so that what is behind them is reached.
"""

import base64
import importlib.util
import io
import json
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import edfio
import h5py
import numpy as np
import polars as pl
import scipy.io
import soundfile
import wfdb

from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

HERE = Path(__file__).parent
OUTSIDE = "../outside/canary"
"""Where nothing may be read: files of several kinds that do not belong to any recording."""

ECG = simulate_one(7, seconds=2).recording.select(STANDARD_LEADS).signal[:, :300]  # mV, [12, 300] at 500 Hz
DIGITAL = np.round(ECG * 400).astype(int)  # 2.5 uV
EIGHT = [0, 1, 6, 7, 8, 9, 10, 11]
LEADS = [STANDARD_LEADS[row] for row in EIGHT]

Seed = dict[str, bytes]


def writers(name: str) -> ModuleType:
    """The test module of a format, for the functions with which it writes files."""
    spec = importlib.util.spec_from_file_location(f"writers_of_{name}", HERE / f"test_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seeds() -> Iterator[tuple[str, Seed]]:
    """The name of a format, and a file of it."""
    for make in (xml, binary, edf, dicom, records, texts, arrays, hdf5):
        yield from make()


def xml() -> Iterator[tuple[str, Seed]]:
    """HL7 aECG, GE MUSE, GE CardioSoft, Philips Sierra."""
    aecg = writers("aecg")
    who = aecg.person(inside=aecg.SEX.format("F") + aecg.BIRTH.format("19530508"))
    told = [
        aecg.annotations(aecg.annotation("MDC_ECG_HEART_RATE", 72, "bpm"), aecg.annotation("MDC_ECG_TIME_PD_PR", 148))
    ]
    median = aecg.BEAT.format(aecg.sequence_set(DIGITAL[:, :50] // 2), "")
    rhythm = aecg.series(aecg.DEVICE, aecg.sequence_set(DIGITAL), median, *told)
    for encoding in ("utf-8", "utf-16"):
        yield "aecg", {"one.xml": aecg.document(who, rhythm, encoding=encoding)}
    muse = writers("muse")
    eight = DIGITAL[EIGHT]
    yield "muse", {"one.xml": muse.document(muse.waveform("Median", eight // 2), muse.waveform(signal=eight))}
    cardiosoft = writers("cardiosoft")
    yield "cardiosoft", {"one.xml": cardiosoft.document(cardiosoft.FACTS, cardiosoft.strip(DIGITAL))}
    philips = writers("philips")
    for version, encoding in (("1.03", "utf-8"), ("1.04", "utf-16")):
        kind = "SierraECG" if version == "1.03" else "PhilipsECG"
        yield "philips", {"one.xml": philips.document(DIGITAL, version=version, encoding=encoding, kind=kind)}


def binary() -> Iterator[tuple[str, Seed]]:
    """SCP-ECG, ISHNE, MFER, AliveCor."""
    scp = writers("scp")
    codes = [scp.CODES[lead] for lead in LEADS]
    tags = scp.tag(2, b"A-17\0") + scp.tag(5, struct.pack("<HBB", 1953, 5, 8)) + scp.tag(8, b"\1")
    tags += scp.tag(14, scp.machine(maker="A maker")) + scp.tag(25, struct.pack("<HBB", 2002, 11, 22))
    tags += scp.tag(26, bytes([9, 10, 0])) + scp.tag(255, b"")
    wave = (100, 192, 257, 345, 617, 29, -53, 56)
    statement = b"\0" + bytes(7) + b"\1" + struct.pack("<BH", 1, 7) + b"normal\0"
    facts = {1: tags, 7: scp.measured(wave, wave, spikes=1), 8: statement}
    for order, table in ((2, scp.DEFAULT), (1, scp.ONE_TABLE), (0, None)):
        yield "scp", {"one.scp": scp.record(scp.plain(DIGITAL[EIGHT], codes, order=order, table=table) | facts)}
    yield "scp", {"one.scp": scp.record(scp.subtracted() | scp.BEATS | facts)}
    ishne = writers("ishne")
    more = {"text": b"a text", "sex": 2, "born": (8, 5, 1953), "day": (1, 2, 2003), "time": (9, 10, 0), "patient": "A"}
    yield "ishne", {"one.ecg": ishne.holter(DIGITAL[[0, 1, 6]], (5, 6, 11), **more)}
    mfer = writers("mfer")
    for order in "<>":
        file = mfer.leads("I", "II", "V1", order=order, block=50, null=struct.pack(order + "h", -(2**15)))
        file.add(0x17, b"A^B^0\0").add(0x82, b"12345\0^x").add(0x84, b"\2")
        file.add(0x83, b"\x2a" + struct.pack(order + "HHBB", 15_400, 1977, 5, 8))
        file.add(0x85, struct.pack(order + "H5BHH", 2019, 6, 19, 13, 20, 1, 5, 6))
        blocks = DIGITAL[[0, 1, 6]].reshape(3, 6, 50).transpose(1, 0, 2)
        yield "mfer", {"one.mwf": file.samples(*blocks[:3]).samples(*blocks[3:]).bytes + b"\x80\0"}
    atc = writers("alivecor")
    leads = (atc.lead(lead, DIGITAL[STANDARD_LEADS.index(lead)]) for lead in atc.LIMBS)
    yield "alivecor", {"one.atc": atc.atc(atc.info("2018-10-10T11:13:11-0700", "kardia"), atc.form(), *leads)}


def edf() -> Iterator[tuple[str, Seed]]:
    """EDF+C, EDF+D with a gap, BDF+."""
    made = writers("edf")
    for kind, gap in (("edf", False), ("edf", True), ("bdf", False)):
        rows = [made.channel(np.tile(DIGITAL[row], 2), kind, label=STANDARD_LEADS[row], rate=200) for row in EIGHT[:3]]
        note = edfio.EdfAnnotation(0.5, None, "Start of it all" + "_" * 25)
        patient = edfio.Patient(code="A-17", sex="F")
        file = made.KINDS[kind][0](rows, data_record_duration=1, annotations=[note], patient=patient)
        content = bytearray(file.to_bytes())
        if gap:
            made.retimed(content, (0, 1, 8))
            content[192:197] = b"EDF+D"
        yield "edf", {f"one.{kind}": bytes(content)}


def dicom() -> Iterator[tuple[str, Seed]]:
    """A rhythm and an averaged beat, in four transfer syntaxes."""
    made = writers("dicom")
    channels = [made.channel(lead, sensitivity=2.5) for lead in LEADS]
    for syntax in (
        made.ExplicitVRLittleEndian,
        made.ImplicitVRLittleEndian,
        made.ExplicitVRBigEndian,
        made.DeflatedExplicitVRLittleEndian,
    ):
        order = ">" if syntax == made.ExplicitVRBigEndian else "<"
        groups = [made.group(DIGITAL[EIGHT], channels, order=order)]
        groups += [made.group(DIGITAL[EIGHT, :50], channels, order=order, label="MEDIAN BEAT", originality="DERIVED")]
        notes = [made.said("Sinus rhythm"), made.said(148, name="5.10.3-1", meaning="PR Interval")]
        file = io.BytesIO()
        facts = {"PatientID": "A-17", "PatientSex": "F", "PatientAge": "042Y", "AcquisitionDateTime": "20021122091000"}
        made.saved(file, groups, notes, syntax=syntax, **facts)
        yield "dicom", {"one.dcm": file.getvalue()}


def records() -> Iterator[tuple[str, Seed]]:
    """WFDB in every storage format, of several rates, of segments, and as the Challenge has it."""
    noise = np.random.default_rng(0).integers(0, 256, 2400, dtype=np.uint8).tobytes()
    for form in (8, 16, 24, 32, 61, 80, 160, 212, 310, 311):
        lines = [f"one.dat {form} 200/mV 12 0 0 0 0 {lead}" for lead in ("I", "II", "V1")]
        yield "wfdb", {"one.hea": header("one 3 500 200", *lines, "# Age: 51 Sex: F"), "one.dat": noise}
    stored = DIGITAL.T.astype("<i2").tobytes()
    lines = [f"one.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS]
    head = header("one 12 500 300 05-May-2020 09:49:17", *lines, "#Age: 51", "#Sex: Female", "#Dx: 426783006")
    yield "wfdb", {"one.hea": head, "one.mat": bytes(24) + stored}
    flac = io.BytesIO()
    soundfile.write(flac, DIGITAL[:2].T.astype(np.int16), 8000, format="FLAC", subtype="PCM_16")
    lines = [f"one.dat 516 400/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")]
    yield "wfdb", {"one.hea": header("one 2 500 300", *lines), "one.dat": flac.getvalue()}
    lines = [
        "one.dat 16x2:1 200(5)/mV 12 0 0 0 0 II",
        "one.dat 16x2 200/mV 12 0 0 0 0 V",
        "one.dat 16 1/mmHg 8 0 0 0 0 ABP",
    ]
    yield "wfdb", {"one.hea": header("one 3 125/999(5) 200 9:00:00 1/2/2003", *lines), "one.dat": noise}
    segments = {
        "one.hea": header("one/4 3 500 260", "lay 0", "a 100", "~ 60", "b 100"),
        "lay.hea": header("lay 3 500 0", *(f"~ 0 200/mV 12 0 0 0 0 {lead}" for lead in ("I", "II", "V5"))),
    }
    for name, leads in (("a", ("I", "II", "V5")), ("b", ("II", "I"))):
        lines = (f"{name}.dat 212 200/mV 12 0 0 0 0 {lead}" for lead in leads)
        segments |= {
            f"{name}.hea": header(f"{name} {len(leads)} 500 100", *lines),
            f"{name}.dat": noise[: 150 * len(leads)],
        }
    yield "wfdb", segments
    with tempfile.TemporaryDirectory() as folder:
        rows = {"sig_name": list(STANDARD_LEADS), "fmt": ["212"] * 12, "adc_gain": [400] * 12, "baseline": [0] * 12}
        wfdb.wrsamp("one", fs=500, units=["mV"] * 12, d_signal=DIGITAL.T, write_dir=folder, **rows)
        yield "wfdb", {name: Path(folder, name).read_bytes() for name in ("one.hea", "one.dat")}
    yield "wfdb", {"one.hea": header("one 1 500 200", f"{OUTSIDE}.dat 16 200/mV 12 0 0 0 0 I")}


def header(*lines: str) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def texts() -> Iterator[tuple[str, Seed]]:
    """Kardia JSON, Apple Watch, Viatom, tables."""
    samples = {f"lead{lead}": DIGITAL[row].tolist() for row, lead in enumerate(STANDARD_LEADS[:6])}
    raw = {"frequency": 300, "mainsFrequency": 50, "amplitudeResolution": 500, "numSamples": 300, "samples": samples}
    told = {"recordedAt": "2018-10-10T11:13:11-07:00", "heartRate": 71, "algorithmDetermination": "normal"}
    yield "kardia", {"one.json": json.dumps(told | {"patientID": "A-17", "data": {"raw": raw}}).encode()}
    for rate, mark in (("512 hertz", "."), ("512,844 Hertz", ",")):
        rows = [f'"{value:.3f}"'.replace(".", mark) for value in ECG[0] * 1000]
        head = 'Name,"A B"\nDate of Birth,"Mar 1, 1970"\nRecorded Date,"2019-03-28 08:00:00 +0100"\n'
        head += 'Classification,Sinus Rhythm\nSymptoms,\nSoftware Version,1.90\nDevice,"Watch4,4"\n'
        head += f'Sample Rate,"{rate}"\n\n\nLead,"Lead I"\nUnit,"µV"\n'
        yield "apple", {"one.csv": "\n".join([head, *rows, ""]).encode()}
    yield "viatom", {"one.txt": ("F-0-01,125,II,405," + ",".join(map(str, DIGITAL[1]))).encode()}
    for mark, between in ((".", ","), (",", ";"), (".", "\t")):
        rows = [[f"{k / 500:.3f}", *(f"{value:.4f}" for value in row)] for k, row in enumerate(ECG.T)]
        lines = [between.join(cell.replace(".", mark) for cell in row) for row in rows]
        yield (
            "table",
            {"one.csv": "\n".join(["# unit: mV", between.join(["time_s", *STANDARD_LEADS]), *lines]).encode()},
        )
    yield (
        "table",
        {
            "one.csv": "\n".join(",".join(map(str, row)) for row in DIGITAL.T).encode(),
            "one.json": json.dumps(
                {"rate": 500, "unit": "uV", "leads": STANDARD_LEADS, "age": 51, "sex": "female"}
            ).encode(),
        },
    )
    parquet = io.BytesIO()
    pl.DataFrame({f"{lead}_mV": ECG[row] for row, lead in enumerate(STANDARD_LEADS)}).write_parquet(parquet)
    yield "table", {"one.parquet": parquet.getvalue(), "one.json": b'{"rate": 500}'}


def arrays() -> Iterator[tuple[str, Seed]]:
    """MATLAB of versions 4, 5 and 7.3, NPY, NPZ."""
    told = {"fs": 500.0, "unit": "0.0025 mV"}
    struct_ = {"ECG": {"sex": "Male", "age": 49.0, "data": ECG.astype(float)}}
    feats = {"feats": ECG, "curr_sample_rate": 400.0, "org_sample_rate": 400.0}
    for content, form, packed in (
        (told | {"val": DIGITAL.astype(np.int16)}, "4", False),
        (struct_, "5", False),
        (struct_, "5", True),
        (feats | told, "5", False),
        (told | {"ecg": DIGITAL.astype(np.int32), "leads": np.array(STANDARD_LEADS, dtype=object)}, "5", False),
    ):
        file = io.BytesIO()
        scipy.io.savemat(file, content, format=form, do_compression=packed)
        yield "matlab", {"one.mat": file.getvalue()}
    with hdf5_file(512) as (file, bytes_):
        file["ecg"] = ECG.T
        file["fs"] = np.array([[500.0]])
        file["unit"] = np.frombuffer(b"m\0V\0", "<u2").reshape(2, 1)
        file["unit"].attrs["MATLAB_class"] = np.bytes_("char")
    content = b"MATLAB 7.3 MAT-file, Platform: any".ljust(124) + b"\0\2IM" + bytes(384)
    yield "matlab", {"one.mat": content + bytes_.getvalue()[512:]}
    file = io.BytesIO()
    np.save(file, DIGITAL.astype(np.int16))
    yield "numpy", {"one.npy": file.getvalue(), "one.json": json.dumps(told | {"leads": STANDARD_LEADS}).encode()}
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, signal=ECG, rate=500, unit="mV", leads=np.array(STANDARD_LEADS))
        yield "numpy", {"one.npz": file.getvalue()}


class hdf5_file:  # noqa: N801  used as a function
    """An HDF5 file in memory: `with hdf5_file() as (file, bytes)`."""

    def __init__(self, userblock: int = 0) -> None:
        self.bytes = io.BytesIO()
        self.file = h5py.File(self.bytes, "w", userblock_size=userblock)

    def __enter__(self) -> tuple[h5py.File, io.BytesIO]:
        return self.file, self.bytes

    def __exit__(self, *error: object) -> None:
        self.file.close()


def hdf5() -> Iterator[tuple[str, Seed]]:
    """CODE-15% and SPH, plain and packed; values and names that lie outside the file."""
    tracings = np.zeros((3, 400, 12), np.float32)
    tracings[:2, 50:350] = ECG.T
    for packed in ({}, {"compression": "gzip", "chunks": (1, 400, 12), "shuffle": True}):
        with hdf5_file() as (file, bytes_):
            file["exam_id"] = np.array([11, 12, 0])
            file.create_dataset("tracings", data=tracings, **packed)
        yield "hdf5", {"one.hdf5": bytes_.getvalue()}
    with hdf5_file() as (file, bytes_):
        file.create_dataset("ecg", data=ECG, compression="gzip", fletcher32=True)
    yield "hdf5", {"one.h5": bytes_.getvalue()}
    for place in (external_link, external_storage, virtual):
        with hdf5_file() as (file, bytes_):
            place(file)
        yield "hdf5", {"one.h5": bytes_.getvalue()}


def external_link(file: h5py.File) -> None:
    file["ecg"] = h5py.ExternalLink(f"{OUTSIDE}.h5", "ecg")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("ecg", (12, 100), np.int16, external=[(f"{OUTSIDE}.dat", 0, 2400)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((12, 100), np.float32)
    layout[:] = h5py.VirtualSource(f"{OUTSIDE}.h5", "ecg", (12, 100))
    file.create_virtual_dataset("ecg", layout)


def outside() -> dict[str, bytes]:
    """Files that no recording names rightly, each of which could be read as one."""
    with hdf5_file() as (file, bytes_):
        file["ecg"] = np.full((12, 100), 7.77, np.float32)
    lines = [f"canary.dat 16 200/mV 12 0 0 0 0 {lead}" for lead in ("I", "II")]
    samples = np.full(2000, 1234, "<i2").tobytes()
    return {"canary.h5": bytes_.getvalue(), "canary.hea": header("canary 2 500 1000", *lines), "canary.dat": samples}


# -- checksums -------------------------------------------------------------------------------------------------------


def sealed(content: bytes) -> bytes:
    """The same file with checksums that fit what it holds; where it is too damaged for that, as it was."""
    seals: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], bytes]], ...] = (
        (lambda data: data[16:22] == b"SCPECG", _scp),
        (lambda data: data.startswith(b"ISHNE"), _ishne),
        (lambda data: data.startswith(b"ALIVE"), _atc),
        (lambda data: data.startswith(b"PK"), _zip),
        (lambda data: b"LeadDataCRC32" in data, _muse),
    )
    for known, seal in seals:
        if known(content):
            try:
                return seal(content)
            except Exception:  # noqa: BLE001  whatever the damage has made of it
                return content
    return content


def _crc(data: bytes) -> int:
    """CRC-CCITT from 0xFFFF on."""
    value = 0xFFFF
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _TABLE[value >> 8 ^ byte]
    return value


def _entry(byte: int) -> int:
    value = byte << 8
    for _ in range(8):
        value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


_TABLE = [_entry(byte) for byte in range(256)]


def _scp(content: bytes) -> bytes:
    """Checksums of the sections that its pointers name, then of the record."""
    made = bytearray(content)
    size = struct.unpack_from("<I", made, 10)[0]
    for at in range(22, min(6 + size, len(made)) - 9, 10):
        _, length, begin = struct.unpack_from("<HII", made, at)
        if length >= 2 and 8 <= begin <= len(made) - length + 1:
            struct.pack_into("<H", made, begin - 1, _crc(bytes(made[begin + 1 : begin - 1 + length])))
    struct.pack_into("<H", made, 6, _crc(bytes(made[8 : 6 + size])))
    struct.pack_into("<I", made, 2, len(made))
    struct.pack_into("<H", made, 0, _crc(bytes(made[2:])))
    return bytes(made)


def _ishne(content: bytes) -> bytes:
    text = struct.unpack_from("<i", content, 10)[0]
    return content[:8] + struct.pack("<H", _crc(content[10 : 522 + max(0, text)])) + content[10:]


def _atc(content: bytes) -> bytes:
    made, at = bytearray(content), 12
    while at + 12 <= len(made):
        end = at + 8 + struct.unpack_from("<I", made, at + 4)[0]
        struct.pack_into("<I", made, end, sum(made[at:end]) % 2**32)
        at = end + 4
    return bytes(made)


def _muse(content: bytes) -> bytes:
    def renewed(found: re.Match[bytes]) -> bytes:
        samples = base64.b64decode(b"".join(found[3].split()))
        return b"<LeadDataCRC32>%d<" % zlib.crc32(samples) + found[2] + found[3]

    return re.sub(rb"<LeadDataCRC32>([^<]*)<(.*?<WaveFormData>)([^<]*)", renewed, content, flags=re.DOTALL)


def _zip(content: bytes) -> bytes:
    """The CRC-32 of each member that is stored, by the local headers and the directory."""
    made = bytearray(content)
    for entry in zipfile.ZipFile(io.BytesIO(content)).infolist():
        name, extra = struct.unpack_from("<HH", made, entry.header_offset + 26)
        begin = entry.header_offset + 30 + name + extra
        stored = bytes(made[begin : begin + entry.compress_size])
        plain = stored if entry.compress_type == zipfile.ZIP_STORED else zlib.decompress(stored, -15)
        new, old = struct.pack("<I", zlib.crc32(plain)), struct.pack("<I", entry.CRC)
        made = bytearray(bytes(made).replace(old, new))
    return bytes(made)
