"""Tests of the weekly detector on a line's archive."""
