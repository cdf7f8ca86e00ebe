"""The registry of fast forms: what the fast reference runs in place of a unit's `evaluate`.

A form is prepared once for a unit and its streams (`@form(Unit)`), and gives a step from the values on its inputs to those on its outputs.
A unit without one runs its own `evaluate`, so a new unit works without any edit here, and gets fast with one more file in this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from arbonn.hw.graph import Node, Ports
from arbonn.sim.values import Values, flat

Step = Callable[[Mapping[str, Values]], Mapping[str, Values]]  # by port name
Form = Callable[[Any, Ports], Step]  # of one kind of unit

FORMS: dict[type[Node], Form] = {}


def form(*kinds: type[Node]) -> Callable[[Form], Form]:
    """Registers the fast form of exactly these classes: one that is derived from them may compute something else."""

    def register(made: Form) -> Form:
        FORMS.update(dict.fromkeys(kinds, made))
        return made

    return register


def plain(node: Node, ports: Ports) -> Step:
    """The unit's own `evaluate`."""

    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        outputs = node.evaluate({p: v.frames() for p, v in inputs.items()}, ports)
        return {p: Values(ports[p], flat(outputs[p], ports[p])) for p in node.gives}

    return step


def step_of(node: Node, ports: Ports) -> Step:
    """The unit's fast form, else its own `evaluate`."""
    return FORMS.get(type(node), plain)(node, ports)
