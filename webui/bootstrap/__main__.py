"""Run as a folder by start.sh and start.bat. Even an old Python must be able to read it, and say that it is too old."""

import os
import sys

if sys.version_info < (3, 10):  # noqa: UP036
    sys.stderr.write("Sampler Lab needs Python 3.10 or newer, and this is %d.%d.\n" % sys.version_info[:2])  # noqa: UP031
    sys.exit(2)

# Python put this folder first; the program's root belongs there (webui/ itself must not: webui/types.py is not types).
sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from webui.bootstrap.install import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
