"""What watches a run: readings on held-out points, warnings, and what is not finite and where."""
