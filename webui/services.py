"""The parts of the program that tabs and api work with, built once in cli.py and passed down."""

from __future__ import annotations

from dataclasses import dataclass

from webui.hub.library import Library
from webui.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Each part is added here by whoever writes it; cli.py builds them all, in this order."""

    settings: Settings
    library: Library
