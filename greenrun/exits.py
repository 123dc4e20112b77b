"""How a command ends: one sentence on standard error and an exit code, never a traceback."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from shared.errors import GreenrunError, NotAdmitted, Retry
from shared.settings import wrong

if TYPE_CHECKING:
    from collections.abc import Coroutine

# A run (or a source) failed; a wrong call; something outside is not available.
FAILED, USAGE, UNAVAILABLE = 1, 2, 3

errors = Console(stderr=True, soft_wrap=True)


class WrongCall(GreenrunError):  # noqa: N818 - named by what it is, as those of shared.errors
    """What was asked for cannot be, whatever the system does: a name that nothing has, a file that cannot be read."""


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of the work; an error on purpose, or a setting that is none, becomes one sentence and an exit code."""
    try:
        return asyncio.run(work)
    except (Retry, NotAdmitted) as error:
        raise fail(UNAVAILABLE, str(error)) from error
    except WrongCall as error:
        raise fail(USAGE, str(error)) from error
    except GreenrunError as error:
        raise fail(FAILED, str(error)) from error
    except ValidationError as error:
        raise refused(error) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def refused(error: ValidationError) -> typer.Exit:
    """The exit for settings that are wrong; raise it. Whatever else pydantic refuses is a mistake here, and raised."""
    if not error.title.endswith("Settings"):
        raise error
    return fail(USAGE, wrong(error))


def why(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, without its name and without Python's words."""
    return (
        f"byte {error.start + 1} is not UTF-8"
        if isinstance(error, UnicodeDecodeError)
        else error.strerror or str(error)
    )


def stop_signal() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def fail(code: int, sentence: str) -> typer.Exit:
    """The exit with this code, once the sentence is printed; raise it."""
    errors.print(f"greenrun: {sentence}", style="red", markup=False, highlight=False)
    return typer.Exit(code)
