"""Training in several processes, as `torchrun` starts them: each takes its part of every batch, and one network comes out.

    torchrun --standalone --nproc-per-node 2 -m arbonn.flows.distributed RECIPE --out DIR

Gradients are averaged (DistributedDataParallel), and so is all that methods decide by (`methods.base.averaged`). Batch statistics are
those of a process's own part, so the result is that of smaller batches in the norms, and not that of a run in one process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn

from arbonn.errors import TrainError
from arbonn.model.methods.base import averaged
from arbonn.model.recipe import TrainConfig


def count() -> int:
    """Processes of this run; 1 where torchrun did not start it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def fabric(config: TrainConfig) -> Fabric:
    """Where a run computes, alone or together with the other processes."""
    if config.batch % count():
        raise TrainError(
            "train.batch",
            found=f"{config.batch} images for {count()} processes",
            allowed="a multiple of the processes: each takes an equal part",
            fix=f"batch = {max(config.batch // count(), 1) * count()}",
        )
    if config.precision == "16-mixed":
        raise TrainError(
            "train.precision",
            found="16-mixed, which scales every gradient",
            allowed="32-true, bf16-mixed: methods decide by the size of gradients",
            fix='precision = "bf16-mixed"',
        )
    try:
        if count() == 1:
            return Fabric(accelerator=config.device, devices=1, precision=config.precision)
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        # A method may leave a parameter out of a pass, as sbnn's constrained shift.
        strategy = DDPStrategy(find_unused_parameters=True)
        together = Fabric(
            accelerator=config.device, strategy=strategy, devices=local, num_nodes=count() // local, precision=config.precision
        )
        together.launch()
        return together
    except (RuntimeError, ValueError) as error:
        raise TrainError("train.device", found=f"`{config.device}` cannot be used: {error}", allowed="cpu, cuda, mps, auto") from None


def own_part(fabric: Fabric, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """This process's rows of a batch: neighbours, since domains take turns."""
    size = len(batch[0]) // fabric.world_size
    return tuple(part[fabric.global_rank * size : (fabric.global_rank + 1) * size] for part in batch)


def agree(fabric: Fabric, network: nn.Module) -> None:
    """Gives every process the buffers of the first: running statistics are of a process's own images."""
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)


def mean_losses(losses: list[Tensor]) -> list[float]:
    """The losses of some steps, each a mean over all processes: one that is no number is one for all, and all stop."""
    return averaged(torch.stack(losses)).tolist() if losses else []


@contextmanager
def writable(folder: Path) -> Iterator[Path]:
    """`folder` for the first process; for the others one of their own that is thrown away."""
    if int(os.environ.get("RANK", "0")) == 0:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="arbonn-") as own:
        yield Path(own)


def leave() -> None:
    """At the end of a process: without this, one that ends first looks like one that died."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
