"""One run at a time in a folder."""

import fcntl
import os
from pathlib import Path

from trainer.errors import UserError


class FolderLock:
    """Keeps other runs out of a folder until the `with` block ends, or the process, however it ends.

    The folder itself is locked (flock), so nothing is left in it. A run of several processes has its first one take
    the lock. On a file system without such locks, as some networks' are, nobody is kept out.
    """

    def __init__(self) -> None:
        self._held: list[int] = []

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *error: object) -> None:
        while self._held:
            os.close(self._held.pop())

    def take(self, folder: Path) -> None:
        """Locks the folder, if it is there; to be called again when it may have been made, or made anew, since.

        Raises:
            UserError: another run has it.
        """
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # not there, or not to be used at all: whoever writes to it says so
            return
        self._held.append(descriptor)
        if any(os.path.sameopenfile(descriptor, one) for one in self._held[:-1]):
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--output_dir is {folder}: another run is at work in it. Wait for its end, or choose another folder."
            ) from None
        except OSError:
            pass  # no locks here
