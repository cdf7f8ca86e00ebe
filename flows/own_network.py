"""A network of the user's own, trained by a loop of the user's own, as the file that `arbonn lower` takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from arbonn.errors import InputError
from arbonn.hw.contract import parse_contract

if TYPE_CHECKING:
    from torch import nn


def to_qonnx(network: nn.Module, path: Path | str, contract: str, frame: tuple[int, ...]) -> None:
    """Writes a trained PyTorch network of layers of ours, of Brevitas' or both as QONNX; `network` stays as it is.

    contract  what an integer code of the input means as a float, such as "uint8,scale=1/255": `arbonn lower` reads it from the file.
    frame     the shape of one input without the batch: (features,) or (channels, height, width).
    Raises    InputError for a contract that is none, and where `network` does not take such an input.
    """
    import copy

    import torch

    from arbonn.model.export import export_network

    parse_contract(contract)
    kind = type(network).__name__
    try:
        with torch.no_grad():
            copy.deepcopy(network).cpu().eval()(torch.zeros(1, *frame))
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(
            f"frame {frame}",
            found=f"{kind} does not take it: {str(error).splitlines()[0]}",
            allowed="the shape of one input, without the batch",
        ) from None
    export_network(network, Path(path), contract, frame, kind)
