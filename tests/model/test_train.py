"""Training: a run that is killed, at an epoch or in the middle of one, ends in the same bits as one that is not."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from arbonn.errors import DataError, TrainError
from arbonn.model.data import Split
from arbonn.model.methods.arbonn import Arbonn
from arbonn.model.methods.base import Method
from arbonn.model.train import Progress, train

METHODS = [{"name": "ste"}, {"name": "arbonn", "k_sharp": 2}]


class Killed(BaseException):
    """Like a kill: no handler of the loop may swallow it."""


def everything(folder) -> dict:
    """All that a run leaves, to the last bit; only its duration may differ."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    state["run"].pop("seconds")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".onnx", ".npy", ".csv")}
    return {"files": files, "state": flat(state)}


def flat(value) -> object:
    if isinstance(value, dict):
        return {key: flat(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [flat(entry) for entry in value]
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_killed_at_an_epoch_and_in_the_middle_of_one_and_not_at_all_are_the_same(recipe, tmp_path, monkeypatch, method):
    small = recipe(method=method, train={"checkpoint_steps": 7})
    whole = train(small, tmp_path / "whole")

    def at_the_second_epoch(progress: Progress) -> None:
        if progress.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train(small, tmp_path / "epoch", at_the_second_epoch)

    def after_some_steps(self: Method, context) -> None:
        if context.step == 30:  # 19 steps an epoch: two steps after the checkpoint at step 7 of the second one
            raise Killed

    kind = Arbonn if method["name"] == "arbonn" else Method
    with monkeypatch.context() as patch:
        patch.setattr(kind, "after_step", after_some_steps)
        with pytest.raises(Killed):
            train(small, tmp_path / "step")
    saved = torch.load(tmp_path / "step" / "checkpoint.pt", weights_only=True)["run"]
    assert (saved["epoch"], saved["step"]) == (1, 7)

    expected = everything(tmp_path / "whole")
    for name in ("epoch", "step"):
        assert not (tmp_path / name / "model.onnx").exists()
        resumed = train(small, tmp_path / name)
        assert everything(tmp_path / name) == expected
        assert resumed.float_accuracy == whole.float_accuracy
        assert resumed.measures == whole.measures


def test_a_real_kill_costs_the_unfinished_epoch_only(recipe, tmp_path):
    small = recipe(train={"epochs": 6})
    code = (
        "import sys, json; from pathlib import Path; from arbonn.settings import parse; from arbonn.model.recipe import TrainRecipe\n"
        "from arbonn.model.train import train; import torch; torch.set_num_threads(1)\n"
        "train(parse(json.loads(sys.argv[1]), TrainRecipe, ''), Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, small.model_dump_json(), str(tmp_path / "killed")])
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "metrics.csv").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.onnx").exists()
    epochs = []
    train(small, tmp_path / "killed", lambda progress: epochs.append(progress.epoch))
    assert epochs[0] > 1
    assert epochs[-1] == 6
    train(small, tmp_path / "whole")
    assert everything(tmp_path / "killed") == everything(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(recipe, tmp_path):
    first = train(recipe(), tmp_path)
    again = train(recipe(), tmp_path, lambda progress: pytest.fail("trained again"))
    assert again == first


def test_what_a_run_leaves(recipe, tmp_path):
    seen: list[Progress] = []
    outcome = train(recipe(train={"tensorboard": True}), tmp_path, seen.append)
    assert [progress.epoch for progress in seen] == [1, 2, 3]
    assert 0.3 < outcome.float_accuracy <= 1
    assert outcome.val_accuracy == seen[outcome.best_epoch - 1].val_accuracy
    assert outcome.binary_weights == 64 * 24 + 24 * 16 + 16 * 10
    whole = {name for name in outcome.measures if "/" not in name and not name.startswith("sharpness_")}
    assert whole == {
        "flip_rate", "oscillation", "flip_rate_epoch", "dead_filters", "ones", "sparse_gradient",
        "density_overlap", "density_chance", "density_correlation", "model_bytes", "binary_ops", "multi_bit_ops", "ops",
    }  # fmt: skip
    assert {name for name in outcome.measures if name.startswith("flip_rate/")} == {"flip_rate/fc0", "flip_rate/fc1", "flip_rate/fc2"}
    assert outcome.measures["sharpness_0.3"] > 0
    assert 0 < outcome.measures["flip_rate"] < 0.1
    rows = list(csv.DictReader(outcome.metrics.read_text().splitlines()))
    assert [float(row["val_accuracy"]) for row in rows] == [progress.val_accuracy for progress in seen]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert np.load(outcome.test_codes).shape == (360, 64)
    assert np.load(outcome.test_labels).shape == (360,)
    assert {"flip_rate", "dead_filters/fc0", "sparse_gradient", "density_overlap"} < set(rows[0])
    assert (tmp_path / "metrics.vl.json").is_file()
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_the_callers_random_numbers_stay_as_they_were(recipe, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(recipe(train={"epochs": 1}), tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_methods_of_one_seed_start_alike(recipe):
    from arbonn.model import data as datasets
    from arbonn.model.train import build

    starts = []
    for method in METHODS:
        small = recipe(method=method)
        torch.manual_seed(small.seed)
        starts.append(build(small, datasets.load(small.data))[1].state_dict())
    assert starts[0].keys() == starts[1].keys()
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])


def test_the_last_epoch_can_be_taken_in_place_of_the_best(recipe, tmp_path):
    outcome = train(recipe(train={"select": "last"}), tmp_path)
    assert outcome.best_epoch == 3


def test_a_checkpoint_of_another_recipe_is_refused(recipe, tmp_path):
    train(recipe(train={"epochs": 1}), tmp_path)
    with pytest.raises(TrainError) as caught:
        train(recipe(train={"epochs": 1}, method={"name": "arbonn"}, seed=4), tmp_path)
    lines = str(caught.value).replace(str(tmp_path), "DIR").splitlines()
    assert lines[0].startswith("TrainError: DIR/checkpoint.pt: a checkpoint of another recipe: method.di_k is nothing there, 5.0 here;")
    assert "method.name is ste there, arbonn here" in lines[0]
    assert lines[0].endswith("seed is 0 there, 4 here")
    assert lines[1:] == [
        "  allowed  the recipe it was started with",
        "  fix      train in another folder, or remove checkpoint.pt to start over",
    ]


def test_a_broken_checkpoint_is_refused(recipe, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainError, match="no checkpoint of ours"):
        train(recipe(), tmp_path)


def test_a_loss_that_is_no_number_stops_training(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(Method, "loss_terms", lambda self, context: {"bad": torch.tensor(float("nan"), requires_grad=True)})
    with pytest.raises(TrainError) as caught:
        train(recipe(), tmp_path)
    assert str(caught.value) == (
        "TrainError: small: epoch 1, step 1: the loss is nan\n  allowed  a finite loss\n  fix      lower train.lr (now 0.005)"
    )


def test_the_step_that_went_wrong_is_named_though_the_loss_is_read_later(recipe, tmp_path, monkeypatch):
    def bad(self: Method, context) -> dict[str, torch.Tensor]:
        return {"bad": torch.tensor(float("inf") if context.step == 19 + 4 else 0.0, requires_grad=True)}

    monkeypatch.setattr(Method, "loss_terms", bad)
    with pytest.raises(TrainError) as caught:
        train(recipe(train={"checkpoint_steps": 7}), tmp_path)
    assert str(caught.value).startswith("TrainError: small: epoch 2, step 5: the loss is inf\n")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["run"]["step"] == 0  # nothing later than the first epoch is kept


def test_a_class_without_a_training_image_is_refused(recipe, tmp_path, monkeypatch):
    from arbonn.model import data as datasets

    whole = datasets.load(recipe().data)
    rows = whole.train.labels != 3
    some = Split(whole.train.codes[rows], whole.train.labels[rows], whole.train.domains[rows])
    monkeypatch.setattr(datasets, "load", lambda config: replace(whole, train=some))
    with pytest.raises(DataError) as caught:
        train(recipe(), tmp_path / "run")
    assert str(caught.value) == (
        "DataError: data.name: digits: no training image of class 3\n"
        "  allowed  at least one image of each of the 10 classes\n"
        "  fix      less images in data.val and data.test, or another data.split_seed"
    )
    assert not (tmp_path / "run").exists()


def test_a_method_that_compares_domains_is_refused_where_there_is_one(recipe, tmp_path):
    single = {"name": "digits", "augment": ["shift"]}
    with pytest.raises(TrainError) as caught:
        train(recipe(data=single, method={"name": "swa", "base": {"name": "arbonn"}}), tmp_path / "run")
    assert str(caught.value) == (
        "TrainError: small: data.augment: 1 domain, shift\n"
        "  allowed  at least 2 domains: `swa` compares them\n"
        '  fix      augment = ["none", "shift"], a data set with domains, or domain_norm = false and di_weight = 0.0 in its section'
    )
    assert not (tmp_path / "run").exists()
    rest = {"name": "arbonn", "domain_norm": False, "di_weight": 0.0}
    assert train(recipe(data=single, method=rest, train={"epochs": 1}), tmp_path).float_accuracy > 0.1


def test_a_checkpoint_of_another_network_is_refused(recipe, tmp_path):
    train(recipe(train={"epochs": 1}), tmp_path)
    with pytest.raises(TrainError) as caught:
        train(recipe(train={"epochs": 1}, network={"name": "mlp", "sizes": [24, 8]}), tmp_path)
    assert str(caught.value).replace(str(tmp_path), "DIR") == (
        "TrainError: DIR/checkpoint.pt: a checkpoint of another recipe: network.sizes is [24, 16] there, [24, 8] here\n"
        "  allowed  the recipe it was started with\n"
        "  fix      train in another folder, or remove checkpoint.pt to start over"
    )


def test_a_checkpoint_whose_weights_do_not_fit_is_refused(recipe, tmp_path):
    train(recipe(train={"epochs": 1}), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    state["network"]["fc0.weight"] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainError) as caught:
        train(recipe(train={"epochs": 1}), tmp_path)
    lines = str(caught.value).replace(str(tmp_path), "DIR").splitlines()
    assert lines[0].startswith("TrainError: DIR/checkpoint.pt: weights that do not fit this network or method: ")
    assert lines[1:] == [
        "  allowed  what this version of arbonn wrote",
        "  fix      train in another folder, or remove checkpoint.pt to start over",
    ]


def test_a_batch_larger_than_the_data_is_refused(recipe, tmp_path):
    with pytest.raises(TrainError, match="at most 1257"):
        train(recipe(train={"batch": 2000}), tmp_path)


def test_a_device_that_is_not_there_is_refused(recipe, tmp_path):
    if torch.backends.mps.is_available():
        pytest.fail("this machine has the device that the test takes for missing")
    with pytest.raises(TrainError, match=r"^TrainError: train.device: `mps` cannot be used"):
        train(recipe(train={"device": "mps"}), tmp_path)
