"""torchrun: two processes train one network, the first alone writes, and a stopped run ends in the bits of one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from arbonn.errors import InputError
from arbonn.flows import stages

RECIPE = """
name = "small"
data = { name = "digits", augment = ["none", "shift"] }
network = { name = "mlp", sizes = [24, 16] }
train = { epochs = 3, batch = 64, tensorboard = false }
measures = { names = ["flips", "gradients"], charts = false }
"""
# Each process keeps the second folder, which but for the first one would be thrown away; both runs, in one start of torchrun.
WORKER = """
import os, sys
from contextlib import nullcontext
from pathlib import Path
from arbonn.flows.recipe import load_recipe
from arbonn.model import processes
from arbonn.model.train import train

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
recipe = load_recipe(folder / "recipe.toml", [])

def stop(progress):
    if progress.epoch == 2:
        raise KeyboardInterrupt

processes.writable = lambda given: nullcontext(given if rank == "0" else given.with_name(f"{given.name}_{rank}"))
whole = train(recipe, folder / "whole")
try:
    train(recipe, folder / "stopped", stop)
except KeyboardInterrupt:
    again = train(recipe, folder / "stopped")
for name, outcome in (("whole", whole), ("again", again)):
    (folder / f"{name}_{rank}.json").write_text(outcome.model_dump_json(include={"float_accuracy", "val_accuracy", "measures"}))
processes.leave()
"""
METHODS = {
    "a binarizer with a state of its own": '{ name = "rbonn" }',
    "gradients recorded by a quantizer": '{ name = "rebnn" }',
    "two passes, and domains": '{ name = "arbonn" }',
    "a teacher, and parameters of the loss": '{ name = "lcr", teacher_epochs = 2 }',
}


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_two_processes_train_one_network_and_go_on_where_they_were_stopped(tmp_path, method):
    (tmp_path / "recipe.toml").write_text(f"{RECIPE}method = {method}\n")
    (tmp_path / "worker.py").write_text(WORKER)
    done = torchrun(str(tmp_path / "worker.py"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    outcomes = {json.dumps(json.loads((tmp_path / f"{run}_{rank}.json").read_text())) for run in ("whole", "again") for rank in (0, 1)}
    assert len(outcomes) == 1
    folders = [tmp_path / name for name in ("whole", "whole_1", "stopped", "stopped_1")]
    first, *others = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in folders)
    for part in ("network", "method"):
        for name, value in first[part].items():
            assert all(torch.equal(value, other[part][name]) for other in others), name


@pytest.mark.slow
def test_the_command_line_writes_from_the_first_process_alone(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE + 'method = { name = "ste" }\n')
    out = tmp_path / "out"
    done = torchrun("-m", "arbonn.flows.distributed", str(recipe), "--out", str(out), "--set", "train.epochs=1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 1, "one object, of the first process"
    images = {f"{split}_{kind}.npy" for split in ("test", "val") for kind in ("codes", "labels")}
    assert {path.name for path in out.iterdir()} == {"checkpoint.pt", "metrics.csv", "model.onnx", *images}


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_told_once(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE + 'method = { name = "ste" }\n')
    done = torchrun("-m", "arbonn.flows.distributed", str(recipe), "--out", str(tmp_path / "out"), "--set", "train.batch=63")
    text = (
        "TrainError: train.batch: 63 images for 2 processes\n"
        "  allowed  a multiple of the processes: each takes an equal part\n  fix      batch = 62"
    )
    assert done.stderr.count(text) == 1
    assert not (tmp_path / "out").exists()


def test_the_store_takes_no_process_of_torchrun(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError) as caught:
        stages.train(tmp_path / "recipe.toml")
    assert str(caught.value) == (
        "InputError: arbonn train: a process of torchrun\n"
        "  allowed  one process, whose result the store keeps\n"
        "  fix      torchrun -m arbonn.flows.distributed RECIPE --out DIR"
    )
