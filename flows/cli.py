"""The command `arbonn`: parses, calls one stage, prints. What a stage does and returns is in stages.py and results.py.

Exit codes: 0 good; 1 a check found a difference or a limit was missed; 2 bad input or a missing tool; 130 interrupted; 70 a defect of ours.
With --json exactly one object goes to standard output, for errors too; progress and messages go to standard error.
This file imports nothing heavy: from its first lines on Ctrl-C ends in one sentence, also while libraries are loaded.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from arbonn.errors import ArbonnError, InputError

if TYPE_CHECKING:
    import typer

    from arbonn.flows.commands.answer import Answer

INTERRUPTED, DEFECT = 130, 70
F = TypeVar("F", bound=Callable[..., Any])

_commands: list[Callable[..., Any]] = []


def command(function: F) -> F:
    """Registers a command; its docstring is its help, and what follows `Example:` stands at the very end."""
    _commands.append(function)
    return function


def _app() -> typer.Typer:
    import typer

    app = typer.Typer(
        name="arbonn",
        help="Binary neural networks from training to an FPGA bitstream that is checked in every bit and every cycle.",
        epilog="Start:   arbonn run recipes/digits.toml",
        no_args_is_help=True,
        add_completion=False,  # completion installs into the user's shell files; those who want it find it in typer's documentation
        pretty_exceptions_enable=False,
    )
    for function in _commands:
        text, mark, tail = (function.__doc__ or "").partition("Example:")
        lines = [line.strip() for line in (mark + tail).splitlines()]
        app.command(help=text, epilog="\n\n".join(line for line in lines if line))(function)
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: runs one command and leaves with its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    json_wanted = "--json" in arguments
    # Threads of torch that wait sleep instead of spinning: with more jobs than cores, spinning made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends like Ctrl-C: locks and children go
    try:
        with _pure_stdout(json_wanted) as output:
            found = _run(arguments, output)
            if argv is None:  # the work is done: an answer that was begun is said whole, and what is left is to go
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            code = found if isinstance(found, int) else _answer(found, output)
    except KeyboardInterrupt:  # before a command began
        code = _interrupted(sys.stdout if json_wanted else None)
    sys.exit(code)


def _run(arguments: list[str], output: TextIO | None) -> Answer | int:
    """What a command found, or the exit code where it found nothing and that was told."""
    import typer

    # Registers the commands; here, since they import this module.
    from arbonn.flows.commands import cmvm, compare, cost, frontier, house, methods, outward, report, search, single, teach, whole, zoo  # noqa: F401
    from arbonn.flows.commands.answer import Answer

    try:
        outcome = _app()(arguments, prog_name="arbonn", standalone_mode=False)
    except typer.TyperException as error:
        return _failed(_usage_error(error, arguments), output)
    except ArbonnError as error:
        return _failed(error, output)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(output)
    except Exception as error:
        traceback.print_exc()
        print("This is a defect of arbonn, not of your input: please report it with the lines above.", file=sys.stderr)
        _write(output, {"where": "arbonn", "found": f"{type(error).__name__}: {error}", "allowed": "", "fix": "report this defect"})
        return DEFECT
    if isinstance(outcome, int):  # --help, or Exit raised inside
        return INTERRUPTED if outcome == INTERRUPTED and _interrupted(output) else outcome
    return outcome if isinstance(outcome, Answer) else 0


def _answer(answer: Answer, output: TextIO | None) -> int:
    """Prints what a command found. Files of its result are written by then: only the words can be lost."""
    try:
        if output is not None:
            print(json.dumps(answer.data, indent=1, ensure_ascii=False, allow_nan=False), file=output, flush=True)
        else:
            answer.show()
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        return _failed(InputError("standard output", found=error.strerror or str(error), fix="send it where there is room"), None)
    return answer.exit_code


def _drop_output() -> None:
    """Nothing more can be said, also not by the buffers at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)


def _usage_error(error: typer.TyperException, arguments: list[str]) -> ArbonnError:
    """What the parser says, in the shape of our own errors."""
    from arbonn.settings import nearest

    context = getattr(error, "ctx", None)
    line = context.command_path if context else "arbonn"
    names = sorted(context.command.commands) if context and hasattr(context.command, "commands") else []
    wrong = next((word for word in arguments if not word.startswith("-")), "")
    options = getattr(error, "possibilities", None) or []
    fix = nearest(wrong, names) if names else nearest(getattr(error, "option_name", ""), options)
    found = error.format_message().partition(" Did you mean")[0].partition(" (Possible")[0].rstrip(".")
    return InputError(line, found=found[:1].lower() + found[1:], allowed=", ".join(names), fix=fix or f"see `{line} --help`")


def _failed(error: ArbonnError, output: TextIO | None) -> int:
    print(error, file=sys.stderr)
    _write(output, {"where": error.where, "found": error.found, "allowed": error.allowed, "fix": error.fix})
    return error.exit_code


def _interrupted(output: TextIO | None) -> int:
    print("Interrupted. The finished stages are kept: the same command goes on from there.", file=sys.stderr)
    _write(output, {"where": "arbonn", "found": "interrupted", "allowed": "", "fix": "run the same command again: it goes on"})
    return INTERRUPTED


def _write(output: TextIO | None, error: dict[str, str]) -> None:
    if output is not None:
        print(json.dumps({"error": error}, indent=1, ensure_ascii=False), file=output)


@contextmanager
def _pure_stdout(wanted: bool) -> Iterator[TextIO | None]:
    """With --json, gives the real standard output to us alone: what libraries and child processes print goes to standard error."""
    if not wanted:
        yield None
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with suppress(OSError), os.fdopen(os.dup(kept), "w", encoding="utf-8") as output:  # what cannot be written was told already
            yield output
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
