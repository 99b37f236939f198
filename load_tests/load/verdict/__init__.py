"""Whether a run can be believed, and whether it meets its objectives: intervals, refusals, verdicts. Pure."""
