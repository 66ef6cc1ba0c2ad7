"""Bends huggingface_hub to our needs: short time limits, no retries behind a person's back, one fault for each error.

The only module that knows the library's exceptions. The library's HTTP client is process-wide; ours replaces it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from webui.hub.faults import (
    BadReference,
    BadToken,
    Broken,
    Captive,
    Gated,
    HubFault,
    NoFile,
    NoRepo,
    NoRevision,
    Offline,
    RateLimited,
    Unreachable,
)
from webui.hub.reference import Reference

_SIDE_ERRANDS = ("/api/agent-harnesses",)
LONGEST_WAIT = 24 * 3600
_SWITCH = threading.Lock()
"""Two threads that ask for the first time at once: the second to switch would close the client the first one uses."""


def make_impatient(seconds: float) -> None:
    """From now on the library gives up after `seconds`, reports 429 and 5xx at once, and runs no errands of its own."""
    from huggingface_hub import get_session, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def factory() -> Any:
        client: Any = default_client_factory()
        send = client.send

        def impatient_send(request: Any, **options: Any) -> Any:
            if request.url.path.endswith(_SIDE_ERRANDS):
                raise Offline()
            parts = ("connect", "read", "write", "pool")
            request.extensions["timeout"] = dict.fromkeys(parts, seconds)
            try:
                response = send(request, **options)
            except _transport_errors(client) as error:
                # The library repeats what failed in the transport, sleeping in between; this it does not know.
                raise Unreachable(request.url.netloc.decode()) from error
            fault = fault_of_status(response.status_code, response.headers, request.url.netloc.decode())
            if fault is not None:
                raise fault
            return response

        client.send = impatient_send
        client.impatient = seconds
        return client

    with _SWITCH:
        if getattr(get_session(), "impatient", None) != seconds:
            set_client_factory(factory)


def _transport_errors(client: Any) -> tuple[type[Exception], ...]:
    """The errors of the HTTP library that huggingface_hub uses (httpx before 2.0, httpx2 since)."""
    import importlib

    library = importlib.import_module(type(client).__mro__[-2].__module__.split(".")[0])
    return (library.TransportError, library.TooManyRedirects, library.InvalidURL)


def fault_of_status(status: int, headers: Mapping[str, str], host: str) -> HubFault | None:
    """Faults that any address of the hub can answer with."""
    if status == 429:
        return RateLimited(_seconds_to_wait(headers))
    return Broken(host, status) if status >= 500 else None


def _seconds_to_wait(headers: Mapping[str, str]) -> int:
    waits = [headers.get("Retry-After", "")]
    waits += [part.partition("=")[2] for part in headers.get("RateLimit", "").split(";") if part.strip()[:2] == "t="]
    for text in waits:
        if text.strip().isdigit():
            return max(1, min(int(text), LONGEST_WAIT))
    return 60


@contextmanager
def translated(about: Reference, host: str) -> Iterator[None]:
    """Turns every error of the library inside it into a HubFault about `about`."""
    from huggingface_hub import errors

    try:
        yield
    except HubFault:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise Offline() from error
    except (errors.GatedRepoError, errors.DisabledRepoError) as error:
        raise Gated(about.repo) from error
    except errors.RevisionNotFoundError as error:
        raise NoRevision(about.repo, about.revision) from error
    except errors.RepositoryNotFoundError as error:
        raise NoRepo(about.repo) from error
    except errors.EntryNotFoundError as error:
        raise NoFile(about.repo, about.path) from error
    except errors.HFValidationError as error:
        raise BadReference(about.repo) from error
    except errors.HfHubHTTPError as error:
        raise _of_response(error, about, host) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # A page of a hotel's network, or of a proxy, where the hub's JSON should be.
        raise Captive(host) from error


def _of_response(error: Any, about: Reference, host: str) -> HubFault:
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else 0
    if status == 401:
        return BadToken()
    if status == 403:
        return Gated(about.repo)
    if status == 404:
        return NoRepo(about.repo)
    return Broken(host, status) if status else Unreachable(host)
