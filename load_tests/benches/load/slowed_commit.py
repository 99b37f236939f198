"""A commit like another one but for a pause before each batch of decisions: `load compare` must find it."""

import ast
import os
import subprocess
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError
from load_tests.load.compare.contestants import checked_out

DECIDER: Final = Path("scorer/decide.py")
AUTHOR: Final = (
    "-c", "user.name=fraudsim", "-c", "user.email=fraudsim@localhost", "-c", "core.hooksPath=/dev/null",
)  # fmt: skip
DATE: Final = "2024-01-01T00:00:00Z"


def slowed_commit(commit: str, pause_s: float, repository: Path) -> str:
    """The id of a commit, of no branch, whose `Decider.decide` begins with a pause of its whole loop.

    Raises:
        FraudsimError: there is no such commit.
    """
    with checked_out(commit, repository) as tree:
        path = tree / DECIDER
        path.write_text(with_pause(path.read_text(), pause_s))
        message = f"Pause for {pause_s:g} s before each batch of decisions"
        # Of one time, so that it is the same commit again.
        env = {**os.environ, "GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
        subprocess.run(
            ["git", "-C", str(tree), *AUTHOR, "commit", "--quiet", "--all", "--message", message],
            check=True, env=env,
        )  # fmt: skip
        return full_id("HEAD", tree)


def full_id(commit: str, repository: Path) -> str:
    """The whole id of a commit.

    Raises:
        FraudsimError: there is no such commit, or no git.
    """
    try:
        named = subprocess.run(
            ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise FraudsimError("bench load: git is not installed") from None
    if named.returncode:
        raise FraudsimError(f"bench load: no commit {commit} here; run it in a clone")
    return named.stdout.strip()


def with_pause(source: str, pause_s: float) -> str:
    """The decider's module with the pause.

    Raises:
        FraudsimError: it has no `Decider.decide`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == "Decider":
            for method in node.body:
                if isinstance(method, ast.AsyncFunctionDef) and method.name == "decide":
                    first = next(
                        statement for statement in method.body
                        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
                    )  # fmt: skip
                    lines = source.splitlines(keepends=True)
                    indent = " " * first.col_offset
                    lines.insert(first.lineno - 1, f"{indent}__import__('time').sleep({pause_s})\n")
                    return "".join(lines)
    raise FraudsimError(f"bench load: {DECIDER} has no Decider.decide to slow")
