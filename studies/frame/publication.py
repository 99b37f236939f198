"""Finished studies in one folder, with an index: `docs/studies`."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from studies.frame.conduct import write_result
from studies.frame.definition import StudyDefinition, StudyResult
from studies.frame.page import StudyReport


def read_study_result(folder: Path, study: StudyDefinition[Any, Any]) -> StudyResult:
    """A kept `result.json`.

    Raises:
        FraudsimError: it is not there, or of another layout.
    """
    path = folder / "result.json"
    try:
        result: StudyResult = msgspec.json.decode(path.read_bytes(), type=study.result)
    except OSError as error:
        raise FraudsimError(f"study {path}: {error.strerror}; run the study first") from None
    except msgspec.DecodeError as error:
        raise FraudsimError(f"study {path}: {error}; run the study again") from None
    return result


def publish(out: Path, results: Mapping[str, tuple[StudyResult, StudyReport]]) -> None:
    """Write each study's pages to a folder of its own, and an index of all in `README.md`.

    Raises:
        FraudsimError: the folder cannot be written.
    """
    try:
        for name, (result, report) in sorted(results.items()):
            folder = out / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_result(folder, result, report)
    except OSError as error:
        raise FraudsimError(f"study {error.filename or out}: {error.strerror or error}") from None
    write_index(out, results)


def write_index(out: Path, results: Mapping[str, tuple[StudyResult, StudyReport]]) -> None:
    """Write `README.md`: of each study the question, the answer in one sentence, and one figure.

    Raises:
        FraudsimError: it cannot be written.
    """
    lines = [
        "# Studies",
        "",
        "Written by `fraudsim study publish` from each study's `result.json`; folders have whole pages.",
    ]
    for name, (result, report) in sorted(results.items()):
        lines += ["", f"## [{report.question}]({name}/README.md)", "", report.answer[0], ""]
        lines += [f"![{figure.caption}]({name}/{figure.name}.svg)\n" for figure in report.figures[:1]]
        lines += [f"{len(result.seeds)} worlds{result.provenance.time_text}; `{report.command}`."]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "README.md", "\n".join(lines) + "\n")
    except OSError as error:
        raise FraudsimError(f"study {error.filename or out}: {error.strerror or error}") from None
