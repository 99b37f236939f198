"""Windowed velocity features: one catalogue, one kernel, the same values online and offline."""
