"""The capacity: the highest rate that meets an objective, with an interval, or a refusal to name one."""
