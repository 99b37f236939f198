"""`python -m fraudsim`: the console script."""

from fraudsim.cli import main

main()
