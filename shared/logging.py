"""The one place where logging is set up: structured lines on standard error, with the run and the event bound."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from shared.settings import CommonSettings


def configure(settings: CommonSettings) -> None:
    """JSON lines, or columns for people with LOG_FORMAT=console; below LOG_LEVEL nothing is written."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    last = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if settings.log_format == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module or service."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return bound
