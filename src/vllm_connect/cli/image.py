"""An image as part of a message: a file as a data URL, or an address that the server fetches itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from vllm_connect.cli.failure import Failure

__all__ = ["image_part"]

LARGEST_IMAGE = 20 * 2**20
ADDRESSES = ("http://", "https://", "data:image/")
# Type, place, bytes there: a name's ending says nothing certain of the content.
SIGNATURES = (
    ("image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", 0, b"\xff\xd8\xff"),
    ("image/gif", 0, b"GIF8"),
    ("image/webp", 8, b"WEBP"),
    ("image/bmp", 0, b"BM"),
    ("image/tiff", 0, b"II*\x00"),
    ("image/tiff", 0, b"MM\x00*"),
)


def image_part(where: str) -> dict[str, Any]:
    """Return the part of a message for an image at a path or an address; raises Failure."""
    url = where if where.startswith(ADDRESSES) else _data_url(Path(where).expanduser())
    return {"type": "image_url", "image_url": {"url": url}}


def _data_url(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_IMAGE + 1)
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise Failure(f"the image {path} cannot be read: {reason}") from None
    if len(content) > LARGEST_IMAGE:
        raise Failure(f"the image {path} is larger than {LARGEST_IMAGE // 2**20} MiB; make it smaller")
    kind = next((name for name, at, mark in SIGNATURES if content.startswith(mark, at)), None)
    if kind is None:
        raise Failure(f"{path} is no image that vLLM reads: give a PNG, JPEG, WebP, GIF, BMP or TIFF file")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
