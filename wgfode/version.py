"""The version, once: the wheel, the command, datasets and checkpoints read it here."""

__version__ = "0.1.0"
