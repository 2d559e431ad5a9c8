"""Reference densities λ: where the points z of a flow come from, and the density that the map pushes forward.

Each reference turns uniform numbers into samples by a fixed transport, so that random, quasi-random
and hand-made uniforms are treated alike. Densities and scores are written over the array namespace of
their argument: torch tensors, jax arrays (tracers too) and numpy arrays, of any real dtype, come back
as what they were. They take points `(..., d)`, so one row `(d,)` is as good as `(N, d)`.
"""

from .barenblatt import Barenblatt
from .base import Reference
from .custom import Custom
from .distribution import from_distribution
from .gaussian import Gaussian
from .smoothed import Smoothed
from .uniform import Uniform

__all__ = ["Barenblatt", "Custom", "Gaussian", "Reference", "Smoothed", "Uniform", "from_distribution"]
