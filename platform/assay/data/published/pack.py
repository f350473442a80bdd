"""Write the packed lists from files as their authors publish them: `python -m assay.data.published.pack FOLDER`.

FOLDER holds a folder of text files for each origin of `sources.json` that is to be packed, such as FOLDER/cps/voc.
Equal lists give equal contents. The bytes of the compression may differ between versions of zlib.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from assay.data.published import SUFFIX, origins
from assay.data.sources.files import stem_of


def pack(folder: Path, out: Path) -> Iterator[Path]:
    """Write a compressed file for each origin that has a folder; yield the files."""
    for origin in origins():
        lists = {
            path.relative_to(folder / origin.folder): path for path in (folder / origin.folder).rglob(f"*{SUFFIX}")
        }
        if not lists:
            continue
        content = {name.as_posix(): _ids(lists[name]) for name in sorted(lists)}
        packed = out / origin.file_name()
        packed.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))
        yield packed


def _ids(path: Path) -> list[str]:
    """Return the ids of a list in its order. The same ids name images in every data set's `image_id`."""
    return [stem_of(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    for written in pack(Path(sys.argv[1]), Path(__file__).parent):
        print(f"{written} ({written.stat().st_size} bytes)")
