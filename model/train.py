"""Training: one visible loop on Lightning Fabric, from a recipe to `model.onnx` and everything the later stages need.

A run is a folder. It can be killed at any moment and called again: it goes on from its last checkpoint, and on a CPU every bit
of the result equals that of a run that was never stopped, because all that is random is a function of (seed, epoch, index).

The epoch that is taken (`train.select` = "best") is the last one within a standard error of the best validation accuracy: `selection.py`.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric.loggers import TensorBoardLogger
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from arbonn.errors import DataError, TrainError
from arbonn.files import replacing, write_text
from arbonn.model import networks, processes
from arbonn.model.batches import Frames, batches, domain_count, load, steps_per_epoch, tensors
from arbonn.model.checkpoint import load_checkpoint, save_checkpoint
from arbonn.model.data import DataSet
from arbonn.model.export import export
from arbonn.model.layers import binary_layers
from arbonn.model.measures.base import Measures, Scene
from arbonn.model.measures.curves import draw
from arbonn.model.methods.base import Context, Lessons, Method, objective
from arbonn.model.methods.compose import chain
from arbonn.model.recipe import METHODS, TrainConfig, TrainRecipe
from arbonn.model.selection import takes


class TrainOutcome(BaseModel):
    """What a finished run reports. Accuracies are fractions in [0, 1]; `float_accuracy` is the trained net's on the test images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    seed: int
    float_accuracy: float
    val_accuracy: float
    epochs: int
    best_epoch: int
    seconds: float
    binary_weights: int
    measures: dict[str, float]
    model: Path
    checkpoint: Path
    test_codes: Path
    test_labels: Path
    metrics: Path


@dataclass(frozen=True)
class Progress:
    """Given to the caller after each epoch; `epoch` counts from 1. The command line draws it."""

    epoch: int
    epochs: int
    loss: float
    val_accuracy: float
    seconds: float


def train(recipe: TrainRecipe, folder: Path, on_progress: Callable[[Progress], None] | None = None) -> TrainOutcome:
    """Trains what `recipe` describes in `folder`, or goes on with what an earlier call left there, and exports it."""
    with processes.writable(folder) as own:
        return _train(recipe, folder / "checkpoint.pt", own, on_progress)


def _train(recipe: TrainRecipe, left: Path, folder: Path, on_progress: Callable[[Progress], None] | None) -> TrainOutcome:
    config = recipe.train
    fabric = processes.fabric(config)
    data = load(recipe)
    _every_class(data)
    checkpoint = folder / left.name

    with torch.random.fork_rng(devices=[]), _threads(config.threads):  # the caller's own random numbers stay as they were
        torch.manual_seed(recipe.seed)
        method, network = build(recipe, data, fabric.world_size)
        optimizer = _optimizer(config, method.param_groups(network))
        method.to(fabric.device)
        model, optimizer = fabric.setup(network, optimizer)
        _needs_domains(method, recipe, domain_count(recipe, data))
        folder.mkdir(parents=True, exist_ok=True)
        measures = Measures(Scene(network, method, data, recipe, fabric.device))
        run = _Run()
        everything = tensors(data, data.train, fabric.device)
        if left.exists():
            load_checkpoint(left, recipe, network, method, optimizer, measures, run, fabric.device)
        else:
            method.teach(Lessons(*everything, config.batch, config.lr, recipe.seed))
        logger = _logger(config, folder, run)

        steps = steps_per_epoch(data.train, config)
        val = tensors(data, data.val, fabric.device)
        while run.epoch < config.epochs:
            started = time.perf_counter()
            losses: list[Tensor] = []  # on the device: asking for a number each step would make it wait
            if run.step == 0:
                measures.restart()
            for step, batch in batches(recipe, data, method, run.epoch, run.step, fabric.device):
                inputs, labels, domains = processes.own_part(fabric, batch)
                number = run.epoch * steps + step
                lr = _set_lr(optimizer, config, number, steps)
                context = Context(network, optimizer, inputs, labels, domains, domain_count(recipe, data), recipe.seed, number, lr)

                def closure(context: Context = context) -> Tensor:
                    optimizer.zero_grad()
                    total = objective(method, context, model(context.inputs))
                    fabric.backward(total)
                    return total.detach()

                network.train()
                method.on_progress(number / (config.epochs * steps))
                losses.append(method.step(context, closure))
                method.after_step(context)
                measures.update()
                run.step = step + 1
                if config.checkpoint_steps and run.step % config.checkpoint_steps == 0 and run.step < steps:
                    run.take(losses, recipe)
                    save_checkpoint(checkpoint, recipe, network, method, optimizer, measures, run)

            run.take(losses, recipe)
            processes.agree(fabric, network)
            val_accuracy = accuracy(network, *val)
            found = {**measures.epoch(), **method.measures()}
            run.end_epoch(network, val_accuracy, len(data.val), steps, config, found, time.perf_counter() - started)
            save_checkpoint(checkpoint, recipe, network, method, optimizer, measures, run)
            _write_metrics(folder / "metrics.csv", run.history)
            if logger is not None:
                logger.log_metrics({name: value for name, value in run.history[-1].items() if name != "epoch"}, step=run.epoch)
            if on_progress is not None:
                on_progress(Progress(run.epoch, config.epochs, run.history[-1]["loss"], val_accuracy, run.seconds))
        network.load_state_dict(run.best["model"])
        if method.finish(network, everything[0]):
            run.best = {**run.best, "epoch": run.epoch, "val_accuracy": accuracy(network, *val)}
        final = measures.final()
        if logger is not None:
            logger.log_metrics({f"final/{name}": value for name, value in final.items()}, step=run.epoch)
            logger.finalize("success")
        binary_weights = sum(layer.weight.numel() for layer in binary_layers(network).values())
    if recipe.measures.charts:
        draw(run.history, folder / "metrics.vl.json", f"{recipe.name}: {recipe.method.name}, seed {recipe.seed}")
    last = {name: value for name, value in run.history[-1].items() if name not in ("epoch", "loss", "val_accuracy")}
    return _finish(recipe, folder, data, network.cpu(), run, {**last, **final}, binary_weights)


def build(recipe: TrainRecipe, data: DataSet, parts: int = 1) -> tuple[Method, nn.Module]:
    """The method and the untrained network of a recipe, for batches in `parts`. Methods draw nothing here: arms of a seed start alike."""
    method: Method = METHODS.get(recipe.method.name, "method.name")(recipe.method)
    network = networks.build(recipe.network, data.image, data.classes, method)
    method.prepare(network, domain_count(recipe, data), recipe.train.batch // parts)
    return method, network


@torch.no_grad()
def accuracy(network: nn.Module, inputs: Tensor | Frames, labels: Tensor) -> float:
    """Share of right answers in evaluation mode; the lowest class wins a tie, as in hardware."""
    network.eval()
    answers = torch.cat([network(part).argmax(1) for part in inputs.split(1000)])  # all at once, maps would fill the memory
    return float((answers == labels).double().mean())


class _Run:
    """Where training is: the part of the checkpoint that belongs to the loop itself."""

    def __init__(self) -> None:
        self.epoch, self.step, self.loss_sum, self.seconds = 0, 0, 0.0, 0.0
        self.history: list[dict[str, float]] = []
        self.peak = 0.0  # the highest validation accuracy so far
        self.best: dict[str, Any] = {"epoch": 0, "val_accuracy": -1.0, "model": {}}

    def take(self, losses: list[Tensor], recipe: TrainRecipe) -> None:
        """Adds the losses of the steps since the last call, and empties the list. The first that is no number is a TrainError."""
        values = processes.mean_losses(losses)
        for number, value in enumerate(values, start=self.step - len(values) + 1):
            if not math.isfinite(value):
                raise TrainError(
                    f"{recipe.name}: epoch {self.epoch + 1}, step {number}", found=f"the loss is {value}", allowed="a finite loss",
                    fix=f"lower train.lr (now {recipe.train.lr:g})",
                )  # fmt: skip
            self.loss_sum += value
        losses.clear()

    def end_epoch(
        self, network: nn.Module, val: float, images: int, steps: int, config: TrainConfig, measures: dict[str, float], seconds: float
    ) -> None:
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, self.seconds + seconds
        self.history.append({"epoch": self.epoch, "loss": self.loss_sum / steps, "val_accuracy": val, **measures})
        self.loss_sum = 0.0
        self.peak = max(self.peak, val)
        if config.select == "last" or takes(val, self.peak, images):
            weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
            self.best = {"epoch": self.epoch, "val_accuracy": val, "model": weights}


def _every_class(data: DataSet) -> None:
    missing = np.flatnonzero(np.bincount(data.train.labels, minlength=data.classes) == 0)
    if len(missing):
        raise DataError(
            f"data.name: {data.name}", found=f"no training image of class {', '.join(map(str, missing))}",
            allowed=f"at least one image of each of the {data.classes} classes",
            fix="less images in data.val and data.test, or another data.split_seed",
        )  # fmt: skip


def _needs_domains(method: Method, recipe: TrainRecipe, domains: int) -> None:
    if method.needs_domains() and domains < 2:
        inside = {options.name for options, _ in chain(recipe.method)}
        other = "domain_norm = false and di_weight = 0.0 in its section" if "arbonn" in inside else "another method"
        raise TrainError(
            f"{recipe.name}: data.augment", found=f"1 domain, {', '.join(recipe.data.augment)}",
            allowed=f"at least 2 domains: `{recipe.method.name}` compares them",
            fix=f'augment = ["none", "shift"], a data set with domains, or {other}',
        )  # fmt: skip


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads inside. Small networks train faster on one: torch's threads spin when there are more jobs than cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _optimizer(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)


def _set_lr(optimizer: torch.optim.Optimizer, config: TrainConfig, number: int, steps: int) -> float:
    """Sets the rate of step `number` (from 0) in every group; returns the rate of a group with lr_scale 1."""
    warm, total = config.warmup_epochs * steps, config.epochs * steps
    if number < warm:
        factor = (number + 1) / warm
    else:
        t = (number - warm) / max(total - warm, 1)
        factor = {"cosine": 0.5 * (1 + math.cos(math.pi * t)), "linear": 1 - t, "constant": 1.0}[config.schedule]
    for group in optimizer.param_groups:
        group["lr"] = config.lr * factor * group.get("lr_scale", 1.0)
    return config.lr * factor


def _logger(config: TrainConfig, folder: Path, run: _Run) -> TensorBoardLogger | None:
    # purge_step: what a killed run logged beyond its checkpoint is logged again.
    return TensorBoardLogger(folder, name="tensorboard", version="", purge_step=run.epoch + 1) if config.tensorboard else None


def _write_metrics(path: Path, history: list[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())


def _finish(
    recipe: TrainRecipe, folder: Path, data: DataSet, network: nn.Module, run: _Run, measures: dict[str, float], binary_weights: int
) -> TrainOutcome:
    """Measures the trained network on the test images once, and writes the files of the later stages."""
    files = {}
    for name, split in (("test", data.test), ("val", data.val)):
        for kind, array in (("codes", split.codes), ("labels", split.labels)):
            files[f"{name}_{kind}"] = path = folder / f"{name}_{kind}.npy"
            with replacing(path) as temporary:
                np.save(temporary, array)
    export(network, folder / "model.onnx", recipe, data.contract, data.frame)
    cpu = torch.device("cpu")
    return TrainOutcome(
        method=recipe.method.name,
        seed=recipe.seed,
        float_accuracy=accuracy(network, *tensors(data, data.test, cpu)),
        val_accuracy=run.best["val_accuracy"],
        epochs=run.epoch,
        best_epoch=run.best["epoch"],
        seconds=run.seconds,
        binary_weights=binary_weights,
        measures=measures,
        model=folder / "model.onnx",
        checkpoint=folder / "checkpoint.pt",
        test_codes=files["test_codes"],
        test_labels=files["test_labels"],
        metrics=folder / "metrics.csv",
    )
