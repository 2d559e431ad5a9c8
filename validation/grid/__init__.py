"""Structure-preserving grid solvers in 1-D and 2-D."""
