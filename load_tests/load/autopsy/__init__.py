"""Where the time of single requests went: waterfalls of stages, the slowest, what happened meanwhile."""
