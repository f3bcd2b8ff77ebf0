"""Embedding: once, in any order, alone or together, with or without a store, and never one at the cost of another."""

import os
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enecg import Recording, Store
from enecg.errors import ExpertError, MissingPackageError, RecordingError, WeightsError
from enecg.experts import get_expert
from enecg.experts._context import GateInput, QualityGrade
from enecg.experts.measurements import FEATURES
from enecg.signal.doubts import doubts
from enecg.simulation import simulate_one
from enecg.store import DamagedShardWarning, Embedded, FaultWarning, embed


def same(one: Embedded, other: Embedded) -> bool:
    return (
        list(one.ids) == list(other.ids)
        and list(one.subjects) == list(other.subjects)
        and set(one.embeddings) == set(other.embeddings)
        and all(one.embeddings[name].tobytes() == other.embeddings[name].tobytes() for name in one.embeddings)
        and all(np.array_equal(one.present[name], other.present[name]) for name in one.present)
        and list(one.refusals) == list(other.refusals)
    )


def lead_one(recording: Recording) -> Recording:
    """What Moments cannot take."""
    return recording.select(["I"])


# -- once ----------------------------------------------------------------------------------------------------------


def test_what_is_stored_is_neither_read_nor_computed_again(tmp_path, files, moments):
    found = files(6)
    first, again = moments(), moments()
    fresh = embed(found, [first], Store(tmp_path))
    assert [file.n_reads for file in found] == [1] * 6
    assert same(embed(found, [again], Store(tmp_path)), fresh)
    assert [file.n_reads for file in found] == [1] * 6
    assert (first.n_prepared, again.n_prepared) == (6, 0)


def test_a_file_whose_key_stays_is_answered_without_its_content(tmp_path, moments):
    import wfdb

    signal = np.random.default_rng(0).normal(size=(100, 2))
    wfdb.wrsamp("a", fs=100, units=["mV"] * 2, sig_name=["I", "V1"], p_signal=signal, write_dir=str(tmp_path))
    samples = tmp_path / "a.dat"
    fresh = embed([tmp_path / "a.hea"], [moments()], Store(tmp_path / "store"))
    times = samples.stat()
    samples.write_bytes(b"\x7f" * times.st_size)
    os.utime(samples, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert same(embed([tmp_path / "a.hea"], [moments()], Store(tmp_path / "store")), fresh)
    os.utime(samples, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    changed = embed([tmp_path / "a.hea"], [moments()], Store(tmp_path / "store"))
    assert not np.array_equal(changed.embeddings["moments"], fresh.embeddings["moments"])


def test_a_changed_file_is_read_again_and_a_copied_one_is_not_computed_again(tmp_path, files, moments):
    found = files(3)
    embed(found, [moments()], Store(tmp_path))
    np.save(found[1].path, np.load(found[1].path) + 1)
    changed = moments()
    embed(found, [changed], Store(tmp_path))
    assert [file.n_reads for file in found] == [1, 2, 1]
    assert changed.n_prepared == 1
    copy = found[0].path.with_name("copy.npy")
    copy.write_bytes(found[0].path.read_bytes())
    expert = moments()
    both = embed([found[0], type(found[0])(copy)], [expert], Store(tmp_path))
    assert expert.n_prepared == 0
    assert both.ids == ["r0", "copy"]
    assert np.array_equal(*both.embeddings["moments"])


@pytest.mark.parametrize("change", [{"weights": "ab" * 32}, {"version": 2}, {"batch": 8}, {"name": "other"}])
def test_another_expert_of_the_same_kind_is_computed_anew(tmp_path, files, moments, change):
    found = files(3)
    embed(found, [moments()], Store(tmp_path))
    changed = moments(**change)
    embed(found, [changed], Store(tmp_path))
    assert changed.n_prepared == 3


def test_another_backend_is_computed_anew(tmp_path, files, moments):
    class Elsewhere(moments):
        backend = "torch fp32"

    found, expert = files(2), Elsewhere()
    embed(found, [moments()], Store(tmp_path))
    embed(found, [expert], Store(tmp_path))
    assert expert.n_prepared == 2


def test_a_second_expert_reads_a_known_file_once_and_a_first_is_left_alone(tmp_path, files, moments):
    found = files(4)
    embed(found, [moments("a")], Store(tmp_path))
    a, b = moments("a"), moments("b")
    embed(found, [a, b], Store(tmp_path))
    assert [file.n_reads for file in found] == [2] * 4
    assert (a.n_prepared, b.n_prepared) == (0, 4)


def test_a_damaged_shard_is_computed_again_to_the_same_bits(tmp_path, files, moments):
    found = files(4)
    fresh = embed(found, [moments()], Store(tmp_path))
    (path,) = tmp_path.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)
    expert = moments()
    with pytest.warns(DamagedShardWarning, match=path.stem):
        assert same(embed(found, [expert], Store(tmp_path)), fresh)
    assert expert.n_prepared == 4
    assert same(embed(found, [moments()], Store(tmp_path)), fresh)


def test_a_damaged_index_costs_a_reading_and_nothing_else(tmp_path, files, moments):
    found = files(4)
    fresh = embed(found, [moments()], Store(tmp_path))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    expert = moments()
    with pytest.warns(DamagedShardWarning, match=path.stem):
        assert same(embed(found, [expert], Store(tmp_path)), fresh)
    assert expert.n_prepared == 0
    assert [file.n_reads for file in found] == [2] * 4


def test_whose_a_known_file_is_follows_who_asks(tmp_path, files, moments):
    found = files(2)
    kind = type(found[0])
    assert embed(found, [moments()], Store(tmp_path)).subjects == ["file:own"] * 2
    named = [kind(file.path, subject=f"table:{row}") for row, file in enumerate(found)]
    assert embed(named, [moments()], Store(tmp_path)).subjects == ["table:0", "table:1"]
    for _ in range(2):  # The second time from the index.
        assert embed(named, [moments()], Store(tmp_path)).subjects == ["table:0", "table:1"]
        assert embed(found, [moments()], Store(tmp_path)).subjects == ["file:own"] * 2
    assert [file.n_reads for file in named] == [1, 1]


def test_a_path_that_is_no_text_is_stored_like_any_other(tmp_path, files, moments):
    (found,) = files(1)
    odd = type(found)(found.path.rename(found.path.with_name(os.fsdecode(b"\xff.npy"))))
    fresh = embed([odd], [moments()], Store(tmp_path))
    assert same(embed([odd], [moments()], Store(tmp_path)), fresh)
    assert odd.n_reads == 1


# -- the same bits -------------------------------------------------------------------------------------------------


@given(rows=st.lists(st.integers(0, 8), max_size=20), stored=st.booleans(), cut=st.integers(0, 20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bits_depend_on_the_recording_alone(tmp_path_factory, moments, recordings, rows, stored, cut):
    """Any order, any neighbours, doubled, in two calls, with a store or without."""
    some = recordings(9)
    some[3] = lead_one(some[3])
    alone = [embed([recording], [moments()]) for recording in some]
    store = Store(tmp_path_factory.mktemp("store")) if stored else None
    for part in (rows[:cut], rows[cut:], rows):
        found = embed([some[row] for row in part], [moments()], store)
        assert found.ids == [f"r{row}" for row in part]
        assert found.subjects == [f"c:{row}" for row in part]
        for place, row in enumerate(part):
            assert found.embeddings["moments"][place].tobytes() == alone[row].embeddings["moments"][0].tobytes()
            assert found.present["moments"][place] == (row != 3)
        assert [refusal.row for refusal in found.refusals] == [place for place, row in enumerate(part) if row == 3]


def test_real_experts_give_the_same_bits_alone_together_and_from_a_store(tmp_path):
    from enecg import simulate

    some = [made.recording for made in simulate(2, seed=5, rate=100.0)]
    names = ("rocket-small", "measurements", "timesnet")

    def run(part, store=None):
        return embed(part, [get_expert(name) for name in names], store).embeddings

    together, stored = run(some), run(some[::-1], Store(tmp_path))
    again = run(some, Store(tmp_path))
    for row, recording in enumerate(some):
        alone = run([recording])
        for name in names:
            bits = alone[name][0].tobytes()
            assert (
                bits == together[name][row].tobytes() == stored[name][1 - row].tobytes() == again[name][row].tobytes()
            )


# -- what is given -------------------------------------------------------------------------------------------------


def test_doubts_are_looked_for_on_request_once_for_each_file(tmp_path, files, moments, monkeypatch):
    found, looked = files(4), []
    np.save(found[1].path, np.load(found[1].path)[[0, 0]])

    def count(signal, rate, leads):
        looked.append(rate)
        return doubts(signal, rate, leads)

    monkeypatch.setattr("enecg.store._embed.doubts", count)
    plain = embed(found, [moments()], Store(tmp_path))
    assert (plain.doubts, looked) == ([None] * 4, [])
    told = embed(found, [moments()], Store(tmp_path), doubting=True)
    assert told.doubts == [tuple(map(str, doubts(r.signal, r.rate, r.leads))) for r in (f.read() for f in found)]
    assert list(map(len, told.doubts)) == [0, 1, 0, 0], "two leads with the same samples"
    assert same(told, plain)
    reads = [file.n_reads for file in found]
    again = embed(found, [moments()], Store(tmp_path), doubting=True)
    assert again.doubts == told.doubts
    assert [file.n_reads for file in found] == reads
    assert len(looked) == 4
    assert embed(found, [moments()], Store(tmp_path)).doubts == [None] * 4
    assert embed(found, [moments()], given=told).doubts == told.doubts
    assert told.take([2, 0]).doubts == [told.doubts[2], told.doubts[0]]


def test_what_cannot_be_read_has_no_doubts_and_a_failing_look_costs_no_answers(files, moments, monkeypatch):
    def fails(signal, rate, leads):
        raise FloatingPointError("odd")

    monkeypatch.setattr("enecg.store._embed.doubts", fails)
    found = files(2)
    found[0].path.unlink()
    with pytest.warns(FaultWarning, match="report this"):
        got = embed(found, [moments()], doubting=True)
    assert got.doubts[0] is None
    assert "could not be looked for (FloatingPointError: odd)" in got.doubts[1][0]
    assert got.present["moments"].tolist() == [False, True]


def test_a_store_of_before_doubts_were_kept_is_read(tmp_path, files, moments):
    import hashlib

    import polars as pl

    found = files(2)
    fresh = embed(found, [moments()], Store(tmp_path))
    (index,) = (tmp_path / "files").iterdir()
    data = pl.read_parquet(index).drop("doubts")
    index.unlink()
    data.write_parquet(tmp_path / "old")
    name = hashlib.sha256((tmp_path / "old").read_bytes()).hexdigest()
    (tmp_path / "old").rename(tmp_path / "files" / f"{name}.parquet")
    assert same(embed(found, [moments()], Store(tmp_path)), fresh)
    assert [file.n_reads for file in found] == [1, 1]
    assert None not in embed(found, [moments()], Store(tmp_path), doubting=True).doubts


def test_no_recordings_give_no_rows(tmp_path, moments):
    for store in (None, Store(tmp_path)):
        found = embed([], [moments()], store)
        assert len(found) == 0
        assert found.embeddings["moments"].shape == (0, 6)


def test_no_experts_give_ids_and_subjects(files):
    found = embed(files(2), [])
    assert found.ids == ["r0", "r1"]
    assert found.subjects == ["file:own"] * 2


@pytest.mark.parametrize("kind", [tuple, iter, lambda some: (one for one in some), dict.fromkeys])
def test_any_iterable_of_recordings_will_do(recordings, moments, kind):
    some = recordings(3)
    assert same(embed(kind(some), [moments()]), embed(some, [moments()]))


def test_one_recording_or_path_alone_is_a_list_of_one(files, recordings, moments):
    assert embed(recordings(1)[0], [moments()]).ids == ["r0"]
    assert embed("nowhere.hea", [moments()]).ids == ["nowhere"]
    assert embed(files(1)[0], [moments()]).ids == ["r0"]


def test_a_recording_without_a_name_is_called_by_its_row(recordings, moments):
    unnamed = Recording(signal=recordings(1)[0].signal, rate=100.0, leads=("I", "V1"))
    assert embed([recordings(1)[0], unnamed], [moments()]).ids == ["r0", "#1"]


@pytest.mark.parametrize("item", [None, 5, np.zeros((2, 10)), [[0.0]], b"path"])
def test_what_is_no_recording_is_refused_with_its_row(recordings, moments, item):
    with pytest.raises(RecordingError, match=r"row 1: a \w+; expected a Recording or a path"):
        embed([recordings(1)[0], item], [moments()])


def test_an_expert_given_twice_is_refused(recordings, moments):
    with pytest.raises(ExpertError, match="a name is there twice"):
        embed(recordings(1), [moments(), moments()])


# -- some rows only --------------------------------------------------------------------------------------------------


def test_an_expert_runs_on_the_rows_asked_for_only(tmp_path, files, moments):
    found = files(4)
    only = np.array([True, False, False, True])
    for store in (None, Store(tmp_path)):
        a, b = moments("a"), moments("b")
        some = embed(found, [a, b], store, only={"a": only})
        assert (a.n_prepared, b.n_prepared) == (2, 4)
        assert some.present["a"].tolist() == only.tolist()
        assert np.isnan(some.embeddings["a"]).all(axis=1).tolist() == (~only).tolist()
        assert not some.refusals
    reads = [file.n_reads for file in found]
    c = moments("c")
    embed(found, [c], Store(tmp_path), only={"c": only})
    assert [after - before for before, after in zip(reads, [file.n_reads for file in found], strict=True)] == [
        1,
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("only", [{"other": np.ones(3, bool)}, {"moments": np.ones(2, bool)}, {"moments": np.ones(3)}])
def test_rows_that_do_not_fit_are_refused(recordings, moments, only):
    with pytest.raises(ExpertError, match=r"expected bool \(3,\) for one of moments"):
        embed(recordings(3), [moments()], only=only)


def test_what_was_found_before_is_kept_and_only_the_rest_computed(recordings, files, moments):
    found = files(4)
    first = embed(found, [moments("a")])
    some = np.array([True, False, True, False])
    a, b = moments("a"), moments("b")
    second = embed(found, [a, b], only={"b": some}, given=first)
    assert (a.n_prepared, b.n_prepared) == (0, 2)
    assert [file.n_reads for file in found] == [2, 1, 2, 1]
    assert np.array_equal(second.embeddings["a"], first.embeddings["a"])
    assert second.present["b"].tolist() == some.tolist()
    assert not first.present.get("b")


def test_what_was_refused_before_is_not_tried_again(tmp_path, files, moments):
    found = files(3)
    found[1].path.write_bytes(b"no array")
    first = embed(found, [moments("a")])
    second = embed(found, [moments("b")], given=first)
    assert found[1].n_reads == 1
    assert [(refusal.row, refusal.expert) for refusal in second.refusals] == [(1, None)]
    assert second.ids == ["r0", "r1", "r2"]


# -- what fails ----------------------------------------------------------------------------------------------------


def test_one_bad_recording_never_costs_the_others(tmp_path, files, recordings, moments):
    found = files(3)
    found[0].path.write_bytes(b"no array")
    found[1].path.unlink()
    mixed = [*found, "nowhere.hea", lead_one(recordings(1, seed=7)[0]), tmp_path, *recordings(2, seed=8)]
    for store in (None, Store(tmp_path / "store"), Store(tmp_path / "store")):
        whole = embed(mixed, [moments()], store)
        assert whole.present["moments"].tolist() == [False, False, True, False, False, False, True, True]
        assert [(refusal.row, refusal.expert) for refusal in whole.refusals] == [
            (0, None),
            (1, None),
            (3, None),
            (4, "moments"),
            (5, None),
        ]
        for refusal, word in zip(
            whole.refusals, ("r0.npy", "r1.npy", "nowhere.hea", "lead V1", str(tmp_path)), strict=True
        ):
            assert word in refusal.reason
        assert np.isnan(whole.embeddings["moments"][[0, 1, 3, 4, 5]]).all()
        assert whole.ids[:2] == ["r0", "r1"]


@pytest.mark.parametrize("error", [ExpertError("not this one"), RuntimeError("not this one"), ZeroDivisionError("no")])
@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.filterwarnings("ignore::enecg.store.FaultWarning")
def test_an_expert_that_fails_on_one_recording_still_embeds_the_others(recordings, moments, error, n):
    class Choosy(moments):
        def prepare(self, recordings):
            if any(recording.id == "r0" for recording in recordings):
                raise error
            return super().prepare(recordings)

    whole = embed(recordings(n), [Choosy("choosy"), moments()])
    assert whole.present["choosy"].tolist() == [False] + [True] * (n - 1)
    assert whole.present["moments"].all()
    (refusal,) = whole.refusals
    assert (refusal.row, refusal.expert) == (0, "choosy")
    assert str(error) in refusal.reason
    assert np.array_equal(whole.embeddings["choosy"][1:], whole.embeddings["moments"][1:])


def test_a_fault_is_named_with_its_place_so_that_it_can_be_mended(recordings, moments):
    class Broken(moments):
        def embed_windows(self, windows):
            return windows @ np.ones((3, 3))

    with pytest.warns(FaultWarning, match=r"moments failed \(ValueError.*test_embed.py, line \d+; please report"):
        whole = embed(recordings(1), [Broken()])
    assert "ValueError" in whole.refusals[0].reason


def test_a_batch_that_memory_does_not_hold_is_halved_until_it_does(recordings, moments):
    class Large(moments):
        def prepare(self, recordings):
            if len(recordings) > 10:
                raise MemoryError("too many at once")
            return super().prepare(recordings)

    some = recordings(100)
    assert same(embed(some, [Large()]), embed(some, [moments()]))


def test_a_reader_that_fails_as_it_never_should_costs_one_recording(files, moments):
    found = files(3)

    class Odd(type(found[0])):
        def read(self):
            return [][0]

    with pytest.warns(FaultWarning, match=r"r1: cannot be read \(IndexError"):
        whole = embed([found[0], Odd(found[1].path), found[2]], [moments()])
    assert whole.present["moments"].tolist() == [True, False, True]


@pytest.mark.parametrize("error", [WeightsError("its weights are missing"), MissingPackageError("install it")])
def test_an_expert_that_cannot_run_at_all_is_an_error(recordings, moments, error):
    class Absent(moments):
        def embed_windows(self, windows):
            raise error

    with pytest.raises(type(error), match=str(error)):
        embed(recordings(3), [moments("other"), Absent()])


def test_values_that_are_not_finite_are_never_stored(tmp_path, recordings, moments):
    class Infinite(moments):
        def embed_windows(self, windows):
            return np.where(windows == windows.max(), np.inf, windows)

    whole = embed(recordings(2), [Infinite()], Store(tmp_path))
    assert not whole.present["moments"].any()
    assert "not finite" in whole.refusals[0].reason
    assert not list(tmp_path.rglob("*.safetensors"))


# -- memory --------------------------------------------------------------------------------------------------------


def test_experts_are_in_memory_one_at_a_time(recordings, moments):
    loaded: set[str] = set()
    most, turns = [0], []

    class Heavy(moments):
        def embed_windows(self, windows):
            loaded.add(self.card.name)
            most[0] = max(most[0], len(loaded))
            return super().embed_windows(windows)

        def release(self):
            turns.append(self.card.name)
            loaded.discard(self.card.name)

    whole = embed(recordings(1100, n_samples=4), [Heavy("a"), Heavy("b"), Heavy("c")])
    assert all(there.all() for there in whole.present.values())
    assert most == [1]
    assert turns == ["a", "b", "c"] * 2
    assert not loaded


def test_a_released_network_is_loaded_again_to_the_same_bits():
    from enecg import simulate

    expert = get_expert("timesnet")
    some = [simulate(1, seed=5, rate=100.0)[0].recording]
    first = embed(some, [expert]).embeddings["timesnet"]
    assert "_network" not in vars(expert)
    assert np.array_equal(embed(some, [expert]).embeddings["timesnet"], first)


def test_embedding_leaves_the_arithmetic_of_the_process_as_it_was():
    from enecg import simulate

    smallest = np.float32(2e-38) * np.float32(0.1)
    assert smallest > 0
    embed([simulate(1, seed=5, rate=100.0)[0].recording], [get_expert("timesnet")])
    assert np.float32(2e-38) * np.float32(0.1) == smallest


def test_recordings_are_held_in_blocks_that_fit_in_memory(files, moments, monkeypatch):
    found = files(40)
    size = np.load(found[0].path).nbytes
    monkeypatch.setattr("enecg.store._embed._BLOCK_BYTES", 5 * size)
    alive: weakref.WeakSet[Recording] = weakref.WeakSet()
    most = [0]

    class Counted(type(found[0])):
        def read(self):
            recording = super().read()
            alive.add(recording)
            most[0] = max(most[0], len(alive))
            return recording

    counted = [Counted(file.path) for file in found]
    assert same(embed(counted, [moments()]), embed(found, [moments()]))
    assert most[0] <= 6
    assert [file.n_reads for file in counted] == [1] * 40


def test_a_recording_larger_than_a_block_is_embedded_all_the_same(files, moments, monkeypatch):
    monkeypatch.setattr("enecg.store._embed._BLOCK_BYTES", 1)
    assert embed(files(3), [moments()]).present["moments"].all()


# -- what comes out ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), max_size=8))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_taking_rows_keeps_everything_that_belongs_to_them(recordings, moments, rows):
    some = recordings(5)
    some[2] = lead_one(some[2])
    whole = embed(some, [moments()])
    assert same(whole.take(rows), embed([some[row] for row in rows], [moments()]))


def test_taking_by_a_mask_keeps_the_order(recordings, moments):
    whole = embed(recordings(4), [moments()])
    assert whole.take(np.array([False, True, False, True])).ids == ["r1", "r3"]
    assert len(whole.take([])) == 0


def test_a_refusal_says_who_and_why(recordings, moments):
    whole = embed([lead_one(recordings(1)[0])], [moments()])
    [refusal] = whole.refusals
    assert (refusal.row, refusal.id, refusal.expert) == (0, "r0", "moments")
    assert refusal.reason.startswith("moments needs lead V1 (found I); with these leads: measurements")


def test_progress_goes_to_standard_error_and_changes_nothing(recordings, moments, capfd):
    some = recordings(3)
    some[1] = lead_one(some[1])
    assert same(embed([*some, "nowhere.hea"], [moments()], progress=True), embed([*some, "nowhere.hea"], [moments()]))
    out, err = capfd.readouterr()
    assert not out
    assert "embedding" in err
    assert "100%" in err


def test_limb_leads_that_follow_from_others_are_there_for_every_expert(tmp_path):
    whole = simulate_one(2, seed=8).recording
    eight = Recording.from_array(
        whole.signal[[0, 1, *range(6, 12)]], rate=500, leads=("I", "II", *whole.leads[6:]), unit="mV"
    )
    pair = whole.select(("II", "aVR"))
    experts = [*map(get_expert, ("rocket-small", "measurements", "dlinear", "timesnet")), GateInput(), QualityGrade()]
    found = embed([whole, eight, pair], experts, Store(tmp_path))
    for name, rows in found.embeddings.items():
        np.testing.assert_allclose(rows[1], rows[0], rtol=2e-3, atol=2e-3, err_msg=name)
    assert [refusal.expert for refusal in found.refusals] == ["rocket-small", "dlinear"]
    lead_one = FEATURES.index("has I")
    assert found.embeddings["measurements"][2, lead_one : lead_one + 12].tolist() == [1.0] * 6 + [0.0] * 6


def test_weights_that_are_missing_are_told_before_anything_is_read(tmp_path, files, moments, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "nowhere"))
    found, expert = files(3), moments()
    with pytest.raises(WeightsError, match="ecgfounder: its weights are not here; `enecg experts pull ecgfounder`"):
        embed(found, [expert, get_expert("ecgfounder")], Store(tmp_path))
    assert [file.n_reads for file in found] == [0] * 3
    assert expert.n_prepared == 0
