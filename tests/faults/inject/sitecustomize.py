"""Python imports this by itself when the folder is on its path: the program then believes that the machine has as much
free memory as the file named by FAULTS_FREE_MEMORY says, as long as that file exists."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil

_real = psutil.virtual_memory


def _virtual_memory() -> Any:
    found = _real()
    told = Path(os.environ["FAULTS_FREE_MEMORY"])
    return found._replace(available=int(told.read_text())) if told.exists() else found


if "FAULTS_FREE_MEMORY" in os.environ:
    psutil.virtual_memory = _virtual_memory
