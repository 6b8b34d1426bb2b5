"""Safe multi-agent algorithms, one file each; `ALGORITHMS` maps the name used everywhere to the class."""

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
