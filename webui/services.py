"""The parts of the program that tabs and api work with, bundled once in cli.py and passed down."""

from __future__ import annotations
