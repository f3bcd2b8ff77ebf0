import json
import subprocess
import sys

import numpy as np
import peft
import pytest
import torch

from enecg.ensemble import base_network, load_adapters, save_adapters
from enecg.ensemble._heads import ExpertHead
from enecg.ensemble._lora import Adapter
from enecg.ensemble._peft import load_adapter, save_adapter
from enecg.errors import TaskError, WeightsError, WriteError

DIM = 12


def config(**options):
    named = {"r": 8, "lora_alpha": 32, "target_modules": ["first", "second"], "modules_to_save": ["row"]}
    return peft.LoraConfig(**named | options)


@pytest.fixture
def head(random_head):
    return random_head(DIM, {"kind": 3}, members=1, share=0.0)


@pytest.fixture
def rows():
    return np.random.default_rng(4).normal(2, 3, size=(20, DIM)).astype(np.float32)


def adapted(head, adapter, rows):
    """What the head answers with another adapter."""
    member = type(head.members[0])(head.members[0].trunk, {"kind": adapter})
    return ExpertHead(head.scaler, [member], head.linear).outputs(rows, ["kind"])["kind"]


def trained_elsewhere(head, folder, **options):
    """PEFT's model with numbers in every adapter, as somebody's training would leave it, and saved."""
    model = peft.get_peft_model(base_network(head, 0, 3), config(**options))
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
                assert "lora" in name or "row" in name
    model.save_pretrained(folder)
    return model.eval()


def answers(model, rows):
    with torch.no_grad():
        return model(torch.from_numpy(rows)).numpy()


def test_peft_reads_our_adapter_and_answers_the_same(head, rows, tmp_path):
    save_adapter(head.members[0].adapters["kind"], head.members[0].trunk, tmp_path)
    model = peft.PeftModel.from_pretrained(base_network(head, 0, 3), tmp_path).eval()
    assert {name: model.peft_config["default"].to_dict()[name] for name in ("r", "lora_alpha", "bias")} == {
        "r": 8,
        "lora_alpha": 32,
        "bias": "none",
    }
    ours = head.outputs(rows, ["kind"])["kind"]
    assert np.abs(ours).max() > 1
    assert np.abs(answers(base_network(head, 0, 3), rows)).max() == 0  # the base alone knows no task
    assert np.allclose(answers(model, rows), ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"r": 4, "lora_alpha": 4},
        {"use_rslora": True},
        {"target_modules": ["first"]},
        {"target_modules": ["second"]},
    ],
    ids=["ours", "other-rank", "rslora", "first", "second"],
)
def test_we_read_pefts_adapter_and_answer_the_same(head, rows, tmp_path, options):
    model = trained_elsewhere(head, tmp_path, **options)
    adapter = load_adapter(tmp_path, head.members[0].trunk, 3)
    theirs = answers(model, rows)
    assert np.allclose(adapted(head, adapter, rows), theirs, atol=1e-5 * np.abs(theirs).max())
    # And once more through our own folder.
    save_adapter(adapter, head.members[0].trunk, tmp_path / "again")
    again = load_adapter(tmp_path / "again", head.members[0].trunk, 3)
    assert np.array_equal(adapted(head, again, rows), adapted(head, adapter, rows))


def test_a_layer_left_alone_stays_alone(head, rows, tmp_path):
    row = head.members[0].adapters["kind"].row
    plain = Adapter(None, None, row)
    save_adapter(plain, head.members[0].trunk, tmp_path)
    again = load_adapter(tmp_path, head.members[0].trunk, 3)
    assert again.first is None
    assert again.second is None
    model = peft.PeftModel.from_pretrained(base_network(head, 0, 3), tmp_path).eval()
    assert np.allclose(answers(model, rows), adapted(head, plain, rows), atol=1e-5)


def test_an_ensembles_adapters_go_to_folders_and_come_back(known, tmp_path):
    embedded, _, ensemble = known
    save_adapters(ensemble, "kind", tmp_path)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.safetensors"))
    assert found == [f"{expert}/{fold}/adapter_model.safetensors" for expert in ("e0", "e1") for fold in range(3)]
    again = load_adapters(ensemble, "kind", tmp_path)
    for name, one in ensemble.predict(embedded).items():
        assert np.array_equal(again.predict(embedded)[name].value, one.value)


def test_an_adapter_trained_elsewhere_changes_its_own_task_alone(known, tmp_path):
    embedded, _, ensemble = known
    save_adapters(ensemble, "kind", tmp_path)
    changed = ensemble.heads["e0"]
    for number in range(3):
        trained_elsewhere(changed, tmp_path / "e0" / str(number))
    again = load_adapters(ensemble, "kind", tmp_path)
    before, after = ensemble.predict(embedded), again.predict(embedded)
    assert changed.linear["kind"].share < 1
    assert not np.array_equal(after["kind"].value, before["kind"].value)
    for name in set(before) - {"kind"}:
        assert np.array_equal(after[name].value, before[name].value)


def test_an_adapter_of_another_network_is_refused_by_name(head, random_head, tmp_path):
    save_adapter(head.members[0].adapters["kind"], head.members[0].trunk, tmp_path)
    with pytest.raises(WeightsError, match=r"first\.lora_A\.weight is \(8, 12\), expected \(8, 9\)"):
        load_adapter(tmp_path, random_head(9, {"kind": 3}).members[0].trunk, 3)
    with pytest.raises(WeightsError, match=r"row\.bias is \(3,\), expected \(5,\)"):
        load_adapter(tmp_path, head.members[0].trunk, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {"first": 2}}, "rank_pattern"),
        ({"bias": "all"}, "bias all"),
    ],
)
def test_what_is_more_than_plain_lora_is_refused(head, tmp_path, options, message):
    trained = peft.get_peft_model(base_network(head, 0, 3), config(**options))
    trained.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=message):
        load_adapter(tmp_path, head.members[0].trunk, 3)


def test_missing_cut_and_foreign_files_are_refused(head, tmp_path):
    trunk = head.members[0].trunk
    with pytest.raises(WeightsError, match="cannot be read"):
        load_adapter(tmp_path / "nowhere", trunk, 3)
    save_adapter(head.members[0].adapters["kind"], trunk, tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_adapter(tmp_path, trunk, 3)
    weights.write_bytes(whole)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(WeightsError, match=r"peft_type IA3.*expected plain LoRA"):
        load_adapter(tmp_path, trunk, 3)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(WeightsError, match="r and lora_alpha"):
        load_adapter(tmp_path, trunk, 3)


def test_an_unknown_task_and_an_unwritable_folder_are_refused(known, tmp_path):
    _, _, ensemble = known
    with pytest.raises(TaskError, match="task nothing has no adapters; this ensemble answers size"):
        save_adapters(ensemble, "nothing", tmp_path)
    with pytest.raises(TaskError, match="task nothing"):
        load_adapters(ensemble, "nothing", tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match="choose another folder"):
        save_adapters(ensemble, "kind", tmp_path / "file")


def test_fitting_predicting_saving_and_loading_never_import_peft(tmp_path):
    code = f"""
import sys
import numpy as np
from enecg.ensemble import PaperSettings, fit_ensemble, load_adapters, save_adapters
from enecg.store import Embedded
from enecg.tasks import Task
rng = np.random.default_rng(0)
rows = {{"e0": rng.normal(size=(24, 5)).astype(np.float32), "gate:II": rng.normal(size=(24, 100)).astype(np.float32)}}
there = {{name: np.ones(24, bool) for name in rows}}
embedded = Embedded([str(n) for n in range(24)], [str(n) for n in range(24)], rows, there)
ensemble = fit_ensemble(embedded, {{"a": rows["e0"][:, :1]}}, [Task("a", "regression")], experts=["e0"], gate="gate:II",
                        recipe="paper", settings=PaperSettings(epochs=1))
save_adapters(ensemble, "a", {str(tmp_path)!r})
answers = load_adapters(ensemble, "a", {str(tmp_path)!r}).predict(embedded)
assert np.isfinite(answers["a"].value).all()
assert "peft" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
