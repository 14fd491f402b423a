"""Published data files: found in the data folder or downloaded into it, and compared with their checksum.

The folder is a scenario's ``learning.dataset.folder``, else the environment's ``SIMDFL_DATA``, else ``data`` in
the cache folder. A published MD5 finds damage, not malice; what a run trained on is bound by the Merkle root in
its manifest.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simdfl.errors import UserError
from simdfl.folders import cache_folder

CONNECT_S = 20.0
Checking = Literal["published", "none"]


@dataclass(frozen=True)
class PublishedFile:
    """A file that its authors publish.

    Parameters
    ----------
    name : str
        Its name in the data folder.
    url : str
        Where it is downloaded from.
    algorithm : str
        ``md5`` or ``sha256``: whichever its authors, or the tools that fetch it, state.
    checksum : str
        Hexadecimal.
    """

    name: str
    url: str
    algorithm: str
    checksum: str

    def digest(self, content: bytes) -> str:
        """Return the checksum of some content, hexadecimal."""
        return hashlib.new(self.algorithm, content, usedforsecurity=False).hexdigest()


def data_folder(given: str | Path | None = None) -> Path:
    """Return the data folder: as given, else the environment's, else that in the cache folder."""
    chosen = given or os.environ.get("SIMDFL_DATA")
    return Path(chosen).expanduser() if chosen else cache_folder("data")


def read_file(where: str, path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    UserError
        If it cannot be read; `where` is the key path that the sentence begins with.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise UserError(
            f"{where}: {path} cannot be read ({reason}); put it there, or say by learning.dataset.folder or the "
            "environment's SIMDFL_DATA where it lies"
        ) from error


def obtain(where: str, file: PublishedFile, folder: Path, checksum: Checking = "published") -> bytes:
    """Return the content of a published file, downloaded first if the folder lacks it.

    Parameters
    ----------
    where : str
        Key path for messages.
    file : PublishedFile
    folder : Path
    checksum : str
        ``none`` accepts other content in the same format that lies in the folder already; a download is always
        compared.

    Raises
    ------
    UserError
        If it is neither there nor can be downloaded, or has another checksum.
    """
    path = folder / file.name
    if not path.exists():
        _download(where, file, folder)
    content = read_file(where, path)
    if checksum == "published" and file.digest(content) != file.checksum:
        raise UserError(
            f"{where}: {path} has the {file.algorithm} sum {file.digest(content)}, published is {file.checksum}; "
            "delete it to download it again, or accept other data in its format by params.checksum: none"
        )
    return content


def _download(where: str, file: PublishedFile, folder: Path) -> None:
    """Put a file into the folder, at once and only if it is the published one."""
    try:
        with urllib.request.urlopen(file.url, timeout=CONNECT_S) as answer:
            content = answer.read()
    except (OSError, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{where}: {file.name} is not in {folder} and {file.url} cannot be reached ({reason}); put it "
            "there, or say by learning.dataset.folder or the environment's SIMDFL_DATA where it lies"
        ) from error
    if file.digest(content) != file.checksum:
        raise UserError(
            f"{where}: what {file.url} gave has the {file.algorithm} sum {file.digest(content)}, published is "
            f"{file.checksum}; get {file.name} from elsewhere and put it into {folder}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(content)
        os.replace(part.name, folder / file.name)
    except OSError as error:
        raise UserError(
            f"{where}: {file.name} cannot be written to {folder} ({error}); choose another folder"
        ) from error
