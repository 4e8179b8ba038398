"""One way to look at a picture, shared by training and the device: decode, prepare, measure, hash.

Python 3.9, Pillow and numpy only. A picture is decoded once; everything else works on the result.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
FEATURES = ("brightness", "contrast", "saturation", "sharpness", "entropy")
HANDLED = ("cmyk", "16-bit", "alpha", "grey", "animated", "exif-rotated")
MAX_PIXELS = 80_000_000  # below Pillow's own limit, so that ours speaks first
MEASURED_SIDE = 128  # px; statistics are taken on a copy no longer than this
MID_GREY = (128, 128, 128)

_ORIENTATION = 0x0112  # EXIF tag
_BITS_PER_SAMPLE = 258  # TIFF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DAMAGE = (  # what Pillow's readers let out
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    IndexError,
    KeyError,
    struct.error,
    zlib.error,
)
_MAGIC = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


class UnreadablePictureError(Exception):
    """Bytes that are no usable picture.

    `problem` is one of empty, not-an-image, truncated, undecodable, too-large.
    """

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.problem}: {self.detail}"


@dataclass(frozen=True)
class Preprocessing:
    """How pixels reach the model; travels in compiled.meta. Only `width` and `height` may vary."""

    width: int
    height: int
    color: str = "RGB"
    resize: str = "bilinear"
    layout: str = "NCHW"
    dtype: str = "float32"
    range: tuple[float, float] = (0.0, 255.0)

    def __post_init__(self) -> None:
        for side in ("width", "height"):
            value = getattr(self, side)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096:  # noqa: PLR2004
                raise ValueError(f"{side}: {value!r} is not a whole number from 1 to 4096")
        for name in ("color", "resize", "layout", "dtype", "range"):
            value, only = getattr(self, name), getattr(type(self), name)
            if value != only:
                raise ValueError(f"{name}: {value!r} is not supported, only {only!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read the JSON form. Raises ValueError that names the field."""
        known = list(cls.__dataclass_fields__)
        for name in values:
            if name not in known:
                raise ValueError(f"{name}: unknown field, expected {', '.join(known)}")
        for name in known:
            if name not in values:
                raise ValueError(f"{name}: missing")
        bounds = values["range"]
        pair = tuple(bounds) if isinstance(bounds, (list, tuple)) else bounds
        return cls(**{**values, "range": pair})

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "range": [int(bound) for bound in self.range]}


@dataclass(frozen=True)
class Picture:
    """A decoded picture. `width`, `height`, `mode` and `channels` are the file's own.

    `rgb` is upright, 8 bit, on mid-grey where it was transparent. `handled` names what was
    converted on the way (see HANDLED).
    """

    rgb: Image.Image
    format: str
    mode: str
    width: int
    height: int
    channels: int
    orientation: int
    frames: int
    handled: tuple[str, ...]


def image_id(data: bytes) -> str:
    """Name a picture by its bytes: SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def read_picture(data: bytes) -> Picture:
    """Decode fully, whatever the file's colours. Raises UnreadablePictureError."""
    if not data:
        raise UnreadablePictureError("empty", "the file has no bytes")
    image = _open(data)
    size, mode = image.size, image.mode
    frames = _frames(image)
    deep = _is_deep(image, data)
    turned = _orientation(image) if image.format == "TIFF" else 1  # its reader turns by itself
    _load(image)
    left = _orientation(image)  # not before: the PNG reader would load here, and hide its errors
    orientation = left if turned == 1 else turned
    alpha = mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    try:
        rgb = _to_rgb(image, alpha)
    except _DAMAGE as error:
        raise UnreadablePictureError("undecodable", f"mode {mode}: {error}") from error
    if left in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[left])
    found = {
        "cmyk": mode == "CMYK",
        "16-bit": deep,
        "alpha": alpha,
        "grey": mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;"),
        "animated": frames > 1 and image.format != "MPO",  # phones add a preview to a JPEG
        "exif-rotated": orientation != 1,
    }
    return Picture(
        rgb=rgb,
        format=str(image.format),
        mode=mode,
        width=size[0],
        height=size[1],
        channels=len(image.getbands()),
        orientation=orientation,
        frames=frames,
        handled=tuple(name for name in HANDLED if found[name]),
    )


def prepare(picture: Picture, preprocessing: Preprocessing) -> Image.Image:
    """Bring a picture to the model's size, RGB; the aspect ratio is not kept."""
    return picture.rgb.resize(
        (preprocessing.width, preprocessing.height), Image.Resampling.BILINEAR
    )


def model_input(prepared: Image.Image) -> npt.NDArray[np.float32]:
    """Turn a prepared RGB picture into the model's input [1, 3, H, W], float32, 0..255."""
    pixels = np.asarray(prepared, dtype=np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])


def statistics(picture: Picture) -> dict[str, float]:
    """Measure brightness, contrast, saturation, sharpness and entropy, each in [0, 1].

    brightness: mean luma (ITU-R BT.601). contrast: standard deviation of luma over its largest
    possible value. saturation: mean of HSV's S. sharpness: s / (s + 0.1), s being the standard
    deviation of the luma's Laplacian. entropy: Shannon entropy of the 8-bit luma over 8 bit.
    """
    small = _measured(picture.rgb)
    grey = small.convert("L")
    luma: npt.NDArray[np.float32] = np.asarray(grey, dtype=np.float32) / np.float32(255)
    edges = _laplacian_deviation(luma)
    values = (
        float(luma.mean()),
        float(luma.std()) * 2,
        float(np.asarray(small.convert("HSV").getchannel("S")).mean()) / 255,
        edges / (edges + 0.1),
        grey.entropy() / 8,
    )
    return {name: min(1.0, max(0.0, round(value, 6))) for name, value in zip(FEATURES, values)}


def perceptual_hash(picture: Picture) -> str:
    """64 bits, 16 hex digits, that stay nearly the same when a picture is scaled or recompressed.

    pHash (C. Zauner, 2010): signs of the lowest 8x8 DCT coefficients of a 32x32 grey copy
    against their median.
    """
    grey = _measured(picture.rgb).convert("L").resize((32, 32), Image.Resampling.BOX)
    # Rounded, so that no machine's arithmetic decides a tie: a flat picture is all ties.
    low = np.round(_DCT @ np.asarray(grey, dtype=np.float64) @ _DCT.T, 3)
    bits = (low > np.median(low)).ravel()
    return np.packbits(bits).tobytes().hex()


def _dct_rows(rows: int, size: int) -> npt.NDArray[np.float64]:
    frequency, position = np.arange(rows)[:, None], np.arange(size)[None, :]
    return np.cos(np.pi * frequency * (2 * position + 1) / (2 * size))


_DCT = _dct_rows(8, 32)


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit follows; bad metadata is no reason
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        if data.startswith(_MAGIC):
            raise UnreadablePictureError("truncated", "the file ends in its header") from error
        known = ", ".join(FORMATS)
        raise UnreadablePictureError("not-an-image", f"none of {known}") from error
    except Image.DecompressionBombError as error:
        raise UnreadablePictureError("too-large", str(error)) from error
    except _DAMAGE as error:
        raise _damaged(error) from error
    if image.width * image.height > MAX_PIXELS:
        detail = f"{image.width}x{image.height} is more than {MAX_PIXELS} pixels"
        raise UnreadablePictureError("too-large", detail)
    return image


def _load(image: Image.Image) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except MemoryError as error:
        raise UnreadablePictureError("too-large", "no memory to decode it") from error
    except _DAMAGE as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> UnreadablePictureError:
    cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return UnreadablePictureError("truncated" if cut else "undecodable", str(error) or repr(error))


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except _DAMAGE:
        return 1  # a later frame is broken; the first one is what counts


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Tell more than 8 bits a channel, also where Pillow has silently made 8 of them."""
    if image.format == "PNG":
        return data[24] == 16  # noqa: PLR2004 - IHDR: width, height, then the bit depth
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
        return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)  # noqa: PLR2004
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _to_rgb(image: Image.Image, alpha: bool) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _from_deep(image)
    if alpha:
        rgba = image.convert("RGBA")
        ground = Image.new("RGB", rgba.size, MID_GREY)
        ground.paste(rgba, mask=rgba.getchannel("A"))
        return ground
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = values.max(initial=0)
    scale = 255.0 if top <= 1 and image.mode == "F" else 1 / 256
    if image.mode == "F" and 1 < top <= 255:  # noqa: PLR2004
        scale = 1.0
    if top > 65535:  # noqa: PLR2004 - 32-bit integers
        scale = 1 / 2**24
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8)).convert("RGB")


def _measured(rgb: Image.Image) -> Image.Image:
    """Average whole pixels, so that the long side has at most MEASURED_SIDE of them."""
    factor = -(-max(rgb.size) // MEASURED_SIDE)
    return rgb.reduce(factor) if factor > 1 else rgb


def _laplacian_deviation(luma: npt.NDArray[np.float32]) -> float:
    if min(luma.shape) < 3:  # noqa: PLR2004 - no inner pixel
        return 0.0
    inner = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * inner).std())
