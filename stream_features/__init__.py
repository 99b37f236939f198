"""Windowed velocity features: one catalogue, one set of kernels, the same values online and offline.

Sub-packages, from left to right: `catalogue`, `kernels`, `offline`, `store`, then `worker` and `online`, and
`parity` on top. Of the other rooms they import `fraudsim` only.
"""
