"""What a training run is made of, as the sections of a TOML file. Reading one imports no torch beyond the method it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from arbonn.model.methods import compose
from arbonn.model.registry import Registry, registered_in
from arbonn.settings import Settings, parse

METHODS: Registry[Any] = Registry(
    "method", "arbonn.methods", registered_in(Path(__file__).parent / "methods", "arbonn.model.methods", "register_method")
)
MEASURES: Registry[Any] = Registry(
    "measure", "arbonn.measures", registered_in(Path(__file__).parent / "measures", "arbonn.model.measures", "register_measure")
)
DATASETS: Registry[Any] = Registry(
    "data set", "arbonn.datasets", registered_in(Path(__file__).parent / "data", "arbonn.model.data", "DATASETS.register")
)
NETWORKS: Registry[Any] = Registry(
    "network", "arbonn.networks", registered_in(Path(__file__).parent / "networks", "arbonn.model.networks", "NETWORKS.register")
)

Augmentation = Literal["none", "shift", "rotate", "scale", "contrast", "noise", "flip", "crop", "flip-crop"]
"""What a training image may go through; each is a domain for methods that use domains."""


Side = Annotated[int, Field(ge=1, le=1024)]


class DataConfig(Settings):
    """[data]: which images, how they are split, and how training images are varied."""

    name: str = Field(description="a data set")
    test: PositiveInt | None = Field(None, description="test images, drawn stratified by class; by default the set's own, or a fifth")
    val: PositiveInt | None = Field(None, description="validation images, drawn stratified from what is left; by default a tenth")
    limit: PositiveInt | None = Field(None, description="training images, drawn stratified from those that there are; by default all")
    split_seed: int = Field(0, ge=0, lt=2**32)  # scikit-learn takes no greater one
    root: str | None = Field(None, description="the folder of the files, in the place of ARBONN_DATA; `folder` and `domain-folder` need it")
    leave_out: str | None = Field(None, description="the domain that nothing is trained or chosen on: its images are the test images")
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None = Field(None, description="rows and columns to resize images to")
    colour: Literal["grey", "rgb"] | None = Field(None, description="what `folder` makes of its pictures; by default what the first is")
    augment: Annotated[tuple[Augmentation, ...], Field(strict=False, min_length=1)] = ("none",)


Sizes = Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(strict=False)]


class NetworkConfig(Settings):
    """[network]: layer sizes. `binary` and `int8` first and last layers are the ones that lower to hardware."""

    name: str = Field("mlp", description="a network")
    sizes: Sizes | None = Field(None, description="features of each hidden fully connected layer; by default the network's own")
    channels: Sizes | None = Field(
        None, description="channels of each convolution, of a resnet those of each stage; by default the network's own"
    )
    first_last: Literal["binary", "int8", "real"] = Field("binary", description="weights of the first and the last layer")
    block: Literal["bn", "nf"] = Field("bn", description="bn: BatchNorm before each sign; nf: no norm, a learnt activation")
    stream_bits: int = Field(4, ge=2, le=8, description="bits of a resnet's integers between its blocks")
    input_thresholds: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(strict=False, min_length=1)] | None = Field(
        None, description="of a bit-mlp: each input as one bit for each of these; by default 0.5 alone"
    )
    shortcut: Literal["concat", "conv"] = Field("concat", description="how a resnet's stream widens: twice the same, or by a 1x1 layer")


class MethodConfig(Settings):
    """[method]: the name and, in subclasses, the options of one method."""

    name: str = Field(description="a training method")


def method_config(value: Mapping[str, Any], where: str, prefix: tuple[str, ...] = ("method",)) -> MethodConfig:
    """The options of the method that `value` names, checked, and first those of the method inside it where it is a wrapper."""
    name = value.get("name")
    if not isinstance(name, str):
        return parse(value, MethodConfig, where, prefix)  # raises: the name is missing or no text
    kind = METHODS.get(name, f"{where}: {'.'.join(prefix)}.name")
    if isinstance(value.get("base"), Mapping):
        inner = method_config(value["base"], where, (*prefix, "base"))
        if "base" not in kind.Config.model_fields:
            raise compose.two_binarizers(name, inner.name, where, ".".join(prefix))
        value = {**value, "base": inner}
    return parse(value, kind.Config, where, prefix)


class TrainConfig(Settings):
    """[train]: the optimizer and the loop."""

    epochs: PositiveInt = Field(description="passes over the training images")
    batch: int = Field(64, ge=2, description="images a step; of a single one there are no batch statistics")
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0, le=1000)] = 5e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: NonNegativeInt = 0
    select: Literal["best", "last"] = Field("best", description="by validation accuracy, or simply the last epoch")
    device: Literal["cpu", "cuda", "mps", "auto"] = "cpu"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    threads: PositiveInt = Field(1, description="of the CPU; sums are taken in another order with another number, so bits change with it")
    checkpoint_steps: NonNegativeInt = Field(0, description="steps between checkpoints inside an epoch; 0: at its end only")
    tensorboard: bool = True

    @field_validator("warmup_epochs", mode="after")
    @classmethod
    def _warm_in_time(cls, value: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs", value)
        if value > epochs:
            raise ValueError(f"at most train.epochs, here {epochs}: the rate would never reach train.lr")
        return value


class MeasuresConfig(Settings):
    """[measures]: what is measured at each epoch and, once, on the finished network. Those left out by default take longer."""

    names: Annotated[tuple[str, ...], Field(strict=False, description="measures")] = ("flips", "gradients", "density", "sharpness", "size")
    tau: Annotated[float, Field(ge=0, le=1)] = Field(default=0.6, description="share of channels that are not dense, for `density`")
    rho: Annotated[tuple[PositiveFloat, ...], Field(strict=False, description="lengths of the steps of `sharpness`")] = (0.05, 0.3)
    directions: PositiveInt = Field(default=20, description="random directions of `sharpness`")
    images: PositiveInt = Field(default=500, description="images of `sharpness` and `domain-flips`")
    teacher_epochs: PositiveInt = Field(default=30, description="passes of the float twin of `sigma-gap`, where the method has none")
    seed: NonNegativeInt = Field(default=0, description="of directions, corruptions and variations: one for all runs that are compared")
    charts: bool = Field(default=True, description="draw the log as metrics.vl.json")

    @field_validator("names", mode="after")
    @classmethod
    def _known_names(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in value:
            MEASURES.check(name, f"{(info.context or {}).get('where', 'recipe')}: measures.names")
        return value


class TrainRecipe(Settings):
    """Everything that decides a trained network. Stages after training subclass it and add their own sections."""

    name: str = Field(description="the name of the run, and of its folder in build/", pattern=r"^\w[\w.-]{0,63}$")
    seed: int = Field(0, ge=0, lt=2**63)
    data: DataConfig
    network: NetworkConfig
    method: SerializeAsAny[MethodConfig]
    train: TrainConfig
    measures: MeasuresConfig = MeasuresConfig()

    @field_validator("method", mode="before")
    @classmethod
    def _method_options(cls, value: Any, info: ValidationInfo) -> Any:
        """Checks [method] against the options of the method it names."""
        return method_config(value, (info.context or {}).get("where", "recipe")) if isinstance(value, Mapping) else value

    @field_validator("data", "network", mode="after")
    @classmethod
    def _known_name(cls, value: DataConfig | NetworkConfig, info: ValidationInfo) -> DataConfig | NetworkConfig:
        registry = DATASETS if isinstance(value, DataConfig) else NETWORKS
        registry.check(value.name, f"{(info.context or {}).get('where', 'recipe')}: {info.field_name}.name")
        return value

    @model_validator(mode="after")
    def _composes(self, info: ValidationInfo) -> TrainRecipe:
        compose.check(self.method, self.network, (info.context or {}).get("where", "recipe"))
        return self

    def training(self) -> dict[str, Any]:
        """The sections that decide the trained network, as plain data: what a subclass adds is left out."""
        return self.model_dump(mode="json", include=set(TrainRecipe.model_fields))

    def key(self) -> str:
        """SHA-256 over `training()`: two recipes with one key train the same network."""
        return hashlib.sha256(json.dumps(self.training(), sort_keys=True).encode()).hexdigest()
