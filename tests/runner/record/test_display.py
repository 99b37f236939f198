"""Messages: data is shown as it is."""

import subprocess
import sys

CODE = """
from runner.record.display import say
say("model m[v2] :smile: [/dim] [red]x")
say("a word " * 60)
"""


def test_brackets_stay_and_piped_output_is_not_wrapped():
    answer = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    first, second = answer.stdout.splitlines()
    assert first == "· model m[v2] :smile: [/dim] [red]x"
    assert second.rstrip() == ("· " + "a word " * 60).rstrip()
