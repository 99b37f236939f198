"""Tests of the live timeline; the line itself is played by `fraudsim model timeline`."""
