"""What a Python has to offer as a peer: versions and the linear-algebra libraries it loads, as one JSON object."""

import importlib
import json
import platform
import sys

from checkpoint import blas_libraries

found = {"python": platform.python_version(), "executable": sys.executable}
for name in ("numpy", "torch", "safetensors", "weightwatcher"):
    try:
        found[name] = importlib.import_module(name).__version__
    except Exception:  # broken installations fail in many ways; all of them mean "not usable"
        found[name] = None
found["blas"] = blas_libraries()
json.dump(found, sys.stdout)
