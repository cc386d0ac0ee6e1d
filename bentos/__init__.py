"""How predictions are served: one folder per use case with its request type and its BentoML service.

Inside a bento the packed source lies beside this folder and goes before any installed one.
"""

import sys
from pathlib import Path

_source = str(Path(__file__).resolve().parents[1] / "src")
if _source not in sys.path:
    sys.path.insert(0, _source)
