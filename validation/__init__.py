"""Evidence that a parametrized run is right: exact solutions, grid solvers and comparisons.

Nothing here shares code with the parametrized solver beyond the energy terms' mathematics, and nothing
needs torch or jax. Import the part that is needed: `wgfode.validation.exact`, `wgfode.validation.grid`, …
"""
