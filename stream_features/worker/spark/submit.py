"""What `spark-submit` is given in place of the console script, which is no Python file: the same options."""

import sys

if __name__ == "__main__":
    sys.argv[:1] = ["fraudsim", "worker", "--engine", "spark"]
    from fraudsim.cli import main

    main()
