"""Load against a running line."""
