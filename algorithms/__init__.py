"""Safe multi-agent algorithms, one file each; `ALGORITHMS` maps the name used everywhere to the class."""

import os

# One thread for NumPy's matrix products: ours are too small to share, and the order of summation stays the same
# everywhere. It must be said before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .happo import HAPPO
from .macpo import MACPO
from .mafocops import MAFOCOPS
from .mappo import MAPPO
from .mappo_l import MAPPOLagrangian

ALGORITHMS = {
    "mafocops": MAFOCOPS,
    "macpo": MACPO,
    "mappo_l": MAPPOLagrangian,
    "happo": HAPPO,
    "mappo": MAPPO,
}
