"""Logs: one line an event on standard error, ours and those of the libraries in one shape."""

import logging
import sys
from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer

LIBRARIES = {"aiokafka": logging.ERROR}
"""Of other libraries from warnings on; aiokafka warns of what our loops see and tell themselves."""


TRACEBACKS = ExceptionDictTransformer(show_locals=False)
"""Locals hold write keys, tokens and passwords: no traceback shows them, in neither format."""


def configure(log_format: str, log_level: str) -> None:
    """JSON, or lines for people; `log_level` is for our own events."""
    events: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    finish: list[Any] = (
        [ExceptionRenderer(TRACEBACKS), structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)]
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        processors=[*events, *finish],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*events, structlog.stdlib.add_logger_name],
            processors=[ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name, level in LIBRARIES.items():
        logging.getLogger(name).setLevel(level)
