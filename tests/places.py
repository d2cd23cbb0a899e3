"""What may lie in the place of a regular file: reading it would hang, never end or fail."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "folder": Path.mkdir,
    "link to itself": lambda path: path.symlink_to(path.name),
}
REFUSED = r"not a regular file|[Ii]s a directory|[Tt]oo many levels of symbolic links"
