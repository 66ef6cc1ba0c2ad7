"""Errors a user can act on. Every message is one sentence that says what to do.

Front ends translate the class, never the text. Knows nothing of HTTP or Gradio.
"""

from __future__ import annotations

from collections.abc import Mapping


class WebUIError(Exception):
    """Root of every expected failure. `code` is stable and machine-readable, `message` is for a person.

    `values` holds the variable parts of the message under stable names, for front ends that say it in another language.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.values: Mapping[str, object] = dict(values or {})
        if code is not None:
            self.code = code


class BadValue(WebUIError):
    """A value somebody gave is not allowed; `param` names it."""

    code = "bad_value"


class ContextExceeded(BadValue):
    """The prompt does not fit the context; the message has both numbers."""

    code = "context_length_exceeded"


class NoModel(WebUIError):
    """No model is loaded, or it is still loading (`code` is then "model_loading")."""

    code = "model_not_loaded"


class LoadFailed(WebUIError):
    """The model could not be loaded."""

    code = "load_failed"


class LoadCancelled(LoadFailed):
    """The user cancelled the load."""

    code = "load_cancelled"


class WorkerDied(WebUIError):
    """The engine's process stopped in the middle of something; the message says how, as far as is known."""

    code = "engine_stopped"


class Overloaded(WebUIError):
    """Too many requests are waiting."""

    code = "server_overloaded"


class Busy(WebUIError):
    """The thing asked for cannot be done while something else runs."""

    code = "busy"
