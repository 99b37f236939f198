"""Finished parts of a long study, kept in its folder, so that an interrupted study goes on from them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole

Part = TypeVar("Part", bound=msgspec.Struct)


class StudyParts:
    """Parts by name, of one input; those of another input have other files."""

    def __init__(self, out_dir: Path, *inputs: object) -> None:
        """
        Args:
            inputs: all that the parts depend on, as JSON can hold it.
        """
        self._folder = out_dir / "parts"
        self._inputs = inputs

    def result(self, name: str, kind: type[Part], compute: Callable[[], Part]) -> Part:
        """The part of that name, as kept or else as `compute` gives it.

        Raises:
            FraudsimError: the folder cannot be written.
        """
        digest = hashlib.sha256(msgspec.json.encode([name, *self._inputs])).hexdigest()[:16]
        path = self._folder / f"{digest}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError):
            part = compute()
        try:
            self._folder.mkdir(exist_ok=True)
            write_whole(path, msgspec.json.encode(part))
        except OSError as error:
            raise FraudsimError(f"study {path}: {error.strerror}; name another folder by --out") from None
        return part
