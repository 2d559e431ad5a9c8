"""Adapters: a `GradientFlow` as the right-hand side of torchdiffeq, diffrax and others.

Import the one you need, e.g. `from wgfode.adapters.diffrax import right_hand_side`.
"""
