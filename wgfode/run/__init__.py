"""A run under way: its settings, its checkpoints, its progress."""
