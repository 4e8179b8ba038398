"""What a camera, a phone or a folder may hold must be read alike here and on the device."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from edge import pictures
from edge.pictures import (
    FEATURES,
    Preprocessing,
    UnreadablePictureError,
    image_id,
    model_input,
    perceptual_hash,
    prepare,
    read_picture,
    statistics,
)


def scene(width: int = 160, height: int = 120) -> Image.Image:
    """A picture whose corners differ: red at the top left, blue at the bottom right."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 3, height // 3), fill=(230, 20, 20))
    draw.rectangle((width * 2 // 3, height * 2 // 3, width, height), fill=(20, 20, 230))
    draw.ellipse((width // 2, 5, width // 2 + 40, 45), fill=(240, 220, 60))
    return image


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def hamming(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_a_plain_jpeg_needs_no_handling_and_tells_its_facts() -> None:
    picture = read_picture(encode(scene(), "JPEG"))

    assert (picture.format, picture.mode, picture.width, picture.height) == (
        "JPEG",
        "RGB",
        160,
        120,
    )
    assert (picture.channels, picture.orientation, picture.frames) == (3, 1, 1)
    assert picture.handled == ()


@pytest.mark.parametrize(
    ("data", "handled", "mode"),
    [
        pytest.param(encode(scene().convert("CMYK"), "JPEG"), ("cmyk",), "CMYK", id="cmyk jpeg"),
        pytest.param(encode(scene().convert("L"), "JPEG"), ("grey",), "L", id="grey jpeg"),
        pytest.param(encode(scene().convert("RGBA"), "PNG"), ("alpha",), "RGBA", id="alpha png"),
        pytest.param(encode(scene().convert("P"), "PNG"), (), "P", id="palette png"),
        pytest.param(encode(scene().convert("1"), "PNG"), ("grey",), "1", id="black and white"),
    ],
)
def test_every_colour_mode_becomes_rgb_and_says_what_was_done(
    data: bytes, handled: tuple[str, ...], mode: str
) -> None:
    picture = read_picture(data)

    assert picture.handled == handled
    assert picture.mode == mode
    assert picture.rgb.mode == "RGB"
    assert picture.rgb.size == (160, 120)


def test_16_bit_grey_keeps_its_brightness() -> None:
    half = Image.fromarray(np.full((20, 30), 32768, dtype=np.uint16))

    picture = read_picture(encode(half, "PNG"))

    assert picture.handled == ("16-bit", "grey")
    assert picture.rgb.getpixel((3, 3)) == (128, 128, 128)


def test_a_floating_point_tiff_is_scaled_by_its_range() -> None:
    half = Image.fromarray(np.full((20, 30), 0.5, dtype=np.float32))

    picture = read_picture(encode(half, "TIFF"))

    assert picture.rgb.getpixel((3, 3)) == (127, 127, 127)


def test_transparent_parts_lie_on_mid_grey() -> None:
    glass = Image.new("RGBA", (10, 10), (255, 0, 0, 0))

    picture = read_picture(encode(glass, "PNG"))

    assert picture.rgb.getpixel((5, 5)) == (128, 128, 128)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]

    picture = read_picture(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))

    assert picture.handled == ("animated",)
    assert picture.frames == 3
    assert picture.rgb.getpixel((8, 8)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_phone_gives_an_upright_picture(kind: str, orientation: int) -> None:
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    upright = scene()
    stored = upright if back == 1 else upright.transpose(pictures._UPRIGHT[back])
    exif = Image.Exif()
    exif[0x0112] = orientation

    picture = read_picture(encode(stored, kind, exif=exif))

    assert picture.orientation == orientation
    assert ("exif-rotated" in picture.handled) == (orientation != 1)
    assert picture.rgb.size == (160, 120)
    assert picture.rgb.getpixel((10, 10))[0] > 180  # type: ignore[index]
    assert picture.rgb.getpixel((150, 110))[2] > 180  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(b"GET / HTTP/1.1\r\n" * 20, "not-an-image", id="text"),
        pytest.param(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not-an-image", id="eps"
        ),
        pytest.param(encode(scene(), "JPEG")[:-900], "truncated", id="jpeg without its end"),
        pytest.param(encode(scene(), "JPEG")[:12], "truncated", id="jpeg of 12 bytes"),
        pytest.param(encode(scene(), "PNG")[:-400], "truncated", id="png without its end"),
    ],
)
def test_an_unusable_file_is_refused_by_the_name_of_its_problem(data: bytes, problem: str) -> None:
    with pytest.raises(UnreadablePictureError) as caught:
        read_picture(data)

    assert caught.value.problem == problem


def test_damaged_pixels_are_undecodable() -> None:
    data = bytearray(encode(scene(), "PNG"))
    start = data.index(b"IDAT") + 6
    data[start : start + 40] = bytes(40)

    with pytest.raises(UnreadablePictureError) as caught:
        read_picture(bytes(data))

    assert caught.value.problem in ("undecodable", "truncated")


def test_a_decompression_bomb_is_refused_before_it_fills_the_memory() -> None:
    bomb = bytearray(encode(Image.new("1", (8, 8)), "PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")

    with pytest.raises(UnreadablePictureError) as caught:
        read_picture(bytes(bomb))

    assert caught.value.problem == "too-large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_file_cut_anywhere_gives_an_error_of_ours_or_a_picture(kind: str) -> None:
    data = encode(scene(40, 30), kind)
    seen = set()

    for length in range(1, len(data), max(1, len(data) // 60)):
        with contextlib.suppress(UnreadablePictureError):
            seen.add(read_picture(data[:length]).rgb.size)

    assert seen <= {(40, 30)}


def test_statistics_lie_between_zero_and_one_and_follow_the_eye() -> None:
    plain = read_picture(encode(scene(), "PNG"))
    dark = read_picture(encode(ImageEnhance.Brightness(scene()).enhance(0.3), "PNG"))
    dull = read_picture(encode(ImageEnhance.Contrast(scene()).enhance(0.3), "PNG"))
    faded = read_picture(encode(ImageEnhance.Color(scene()).enhance(0.2), "PNG"))
    rough = read_picture(encode(Image.effect_noise((160, 120), 90).convert("RGB"), "PNG"))
    flat = read_picture(encode(Image.new("RGB", (50, 50), "teal"), "PNG"))

    base = statistics(plain)

    assert tuple(base) == FEATURES
    assert all(0 <= value <= 1 for value in base.values())
    assert statistics(dark)["brightness"] < base["brightness"] * 0.5
    assert statistics(dull)["contrast"] < base["contrast"] * 0.5
    assert statistics(faded)["saturation"] < base["saturation"] * 0.7
    assert statistics(rough)["sharpness"] > base["sharpness"]
    assert statistics(flat)["entropy"] == statistics(flat)["contrast"] == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 4000), (4000, 1)])
def test_odd_sizes_are_measured_too(size: tuple[int, int]) -> None:
    picture = read_picture(encode(Image.new("RGB", size, "white"), "PNG"))

    assert all(0 <= value <= 1 for value in statistics(picture).values())
    assert len(perceptual_hash(picture)) == 16
    assert model_input(prepare(picture, Preprocessing(32, 24))).shape == (1, 3, 24, 32)


def test_a_scaled_or_recompressed_picture_keeps_its_hash_and_another_one_does_not() -> None:
    original = perceptual_hash(read_picture(encode(scene(), "PNG")))
    smaller = perceptual_hash(read_picture(encode(scene().resize((97, 71)), "JPEG", quality=40)))
    mirrored = scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other = perceptual_hash(read_picture(encode(mirrored, "PNG")))

    assert hamming(original, smaller) <= 4
    assert hamming(original, other) > 12


def test_the_model_input_is_the_prepared_picture_channel_first() -> None:
    prepared = Image.new("RGB", (4, 2), (10, 20, 30))

    values = model_input(prepared)

    assert values.shape == (1, 3, 2, 4)
    assert values.dtype == np.float32
    assert values[0, :, 0, 0].tolist() == [10, 20, 30]


def test_equal_bytes_have_an_equal_id(tmp_path: Path) -> None:
    assert image_id(b"x") == image_id(bytes(bytearray(b"x"))) != image_id(b"y")


def test_preprocessing_survives_its_json_form() -> None:
    plan = Preprocessing(48, 32)

    assert Preprocessing.from_dict(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", "32"),
        ("height", True),
        ("height", 1e9),
        ("color", "BGR"),
        ("resize", "nearest"),
        ("layout", "NHWC"),
        ("dtype", "float16"),
        ("range", [0, 1]),
        ("range", 255),
        ("mean", [0, 0, 0]),
    ],
)
def test_impossible_preprocessing_is_refused_by_the_name_of_its_field(
    field: str, value: object
) -> None:
    values = {**Preprocessing(32, 32).to_dict(), field: value}

    with pytest.raises(ValueError, match=field):
        Preprocessing.from_dict(values)


def test_missing_preprocessing_is_named() -> None:
    values = Preprocessing(32, 32).to_dict()
    del values["layout"]

    with pytest.raises(ValueError, match="layout: missing"):
        Preprocessing.from_dict(values)
