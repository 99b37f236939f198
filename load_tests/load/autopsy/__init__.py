"""Where the time of single requests went: the waterfall of stages, the slowest, and what happened meanwhile."""
