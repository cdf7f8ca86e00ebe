"""methods."""

from __future__ import annotations

from arbonn.flows.cli import command
from arbonn.flows.commands.answer import Answer, Json, table


@command
def methods(json: Json = False) -> Answer:
    """List the training methods that a recipe can name, with the options and the paper of each.

    Example: arbonn methods
    Next:    arbonn train recipes/digits.toml --set method.name=ste
    """
    from arbonn.model.methods.compose import REFUSED
    from arbonn.model.recipe import METHODS

    found = {}
    for name in METHODS.names():
        kind = METHODS.get(name, "arbonn methods")
        found[name] = {
            # A method from outside need not say any of this.
            "role": getattr(kind, "role", "binarizer"),
            "summary": getattr(kind, "summary", ""),
            "paper": getattr(kind, "paper", ""),
            "options": [option for option in kind.Config.model_fields if option != "name"],
            "not_around": {entry.inner: entry.reason for entry in REFUSED if entry.outer == name},
        }
    refused = {name: "".join(f"\nnot around {e.inner}: {e.reason}" for e in REFUSED if e.outer == name) for name in found}
    rows = {
        name: f"{entry['summary']}\n{entry['paper']}\noptions: {', '.join(entry['options'])}" + refused[name]
        for name, entry in found.items()
    }
    return Answer({"schema": 1, "methods": found}, lambda: table("methods", rows))
