"""A whole recipe: what is trained (model/recipe.py) and what is made of it. Every option of a later stage has its default here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from arbonn.errors import RecipeError
from arbonn.model.recipe import TrainRecipe
from arbonn.settings import Settings, load_toml, nearest

Stall = Annotated[float, Field(ge=0, lt=1)]


class LowerConfig(Settings):
    """[lower]: how the lowered graph is compared with the file it came from."""

    samples: PositiveInt = Field(default=200, description="test images on which every layer is compared with QONNX's own execution")


class FoldConfig(Settings):
    """[fold]: how much hardware each layer gets: the least that reaches a rate, by default the rate that the board's link carries."""

    target_fps: PositiveFloat | None = Field(default=None, description="frames a second that the core must reach at the board's clock")
    max_luts: PositiveInt | None = Field(default=None, description="LUTs that the core may take")
    folding: str | None = Field(default=None, description="a folding file (JSON, FINN's shape), relative to the recipe")


class CheckConfig(Settings):
    """[check]: RTL against the models, every bit and every cycle."""

    frames: NonNegativeInt = Field(default=0, description="test images through the fast simulator; 0: all of them")
    second_frames: NonNegativeInt = Field(default=20, description="test images through the second simulator; 0: leave it out")
    stalls: Annotated[tuple[Stall, ...], Field(strict=False)] = (0.0, 0.3, 0.9)
    seed: NonNegativeInt = 0
    engine: Literal["cocotb", "native", "amaranth"] = Field(
        default="cocotb", description="how Verilator runs; or Amaranth's own simulator, which needs no compiler, for small networks"
    )


class BuildConfig(Settings):
    """[build]: the board, and the check of its bitstream."""

    board: str = Field(default="icebreaker", description="a board")
    netlist_frames: NonNegativeInt = Field(
        default=2, description="test images through the bitstream, turned back into a netlist; 0: leave it out"
    )

    @field_validator("board", mode="after")
    @classmethod
    def _known_board(cls, name: str, info: ValidationInfo) -> str:
        """A wrong board is told before anything is trained for it."""
        from arbonn.hw.boards import boards

        known = boards()
        if name not in known:
            where = f"{(info.context or {}).get('where', 'recipe')}: build.board"
            raise RecipeError(where, found=f"unknown board `{name}`", allowed=", ".join(known), fix=nearest(name, known))
        return name


class Recipe(TrainRecipe):
    """A file of `recipes/`."""

    lower: LowerConfig = LowerConfig()
    fold: FoldConfig = FoldConfig()
    check: CheckConfig = CheckConfig()
    build: BuildConfig = BuildConfig()


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with `key.path=value` overrides. Raises RecipeError that names the key and the nearest right one."""
    return load_toml(path, Recipe, overrides)
