"""Landscape pictures that are the same for the same prompt and numbers, with the prompt written on them."""

from __future__ import annotations

import colorsys
import hashlib
import math
import textwrap

from PIL import Image, ImageDraw, ImageFont, ImageOps

_HILLS = 4


def draw(text: str, seed: int, width: int, height: int, style: str = "") -> Image.Image:
    """Return a picture for a prompt; `style` is whatever else is to change it (models, steps, guidance)."""
    chance = hashlib.shake_256(f"{text}\0{seed}\0{style}".encode()).digest(64)
    hue = chance[0] / 256
    picture = _sky(hue, width, height)
    _add_sun(picture, hue, chance[1:4])
    for number in range(_HILLS):
        depth = (number + 1) / _HILLS
        _add_hill(
            picture, _colour(hue + 0.08 * depth, 0.3 + 0.4 * depth, 0.75 - 0.6 * depth), depth, chance[8 + 6 * number :]
        )
    _write(picture, text, f"ComfyUI stand-in, seed {seed}")
    return picture


def preview(picture: Image.Image, progress: float, longest_side: int) -> Image.Image:
    """Return a small picture that is blurred at the beginning (0.0) and clear at the end (1.0)."""
    small = ImageOps.contain(picture, (longest_side, longest_side))
    grain = max(1, round((1.0 - progress) * 24))
    coarse = small.resize((max(1, small.width // grain), max(1, small.height // grain)))
    return coarse.resize(small.size)


def _sky(hue: float, width: int, height: int) -> Image.Image:
    gradient = Image.linear_gradient("L").resize((width, height))
    above, below = _colour(hue - 0.12, 0.6, 0.55), _colour(hue + 0.08, 0.25, 1.0)
    return ImageOps.colorize(gradient, black=above, white=below)


def _add_sun(picture: Image.Image, hue: float, chance: bytes) -> None:
    across = max(4, min(picture.size) * (48 + chance[0] // 4) // 512)
    left = (picture.width - across) * chance[1] // 255
    top = (picture.height - across) * (32 + chance[2] // 4) // 255
    ImageDraw.Draw(picture).ellipse((left, top, left + across, top + across), fill=_colour(hue + 0.1, 0.12, 1.0))


def _add_hill(picture: Image.Image, colour: tuple[int, int, int], depth: float, chance: bytes) -> None:
    """Draw one ridge; deeper ones (up to 1.0) are nearer, so they stand lower in the picture."""
    width, height = picture.size
    waves = [(chance[index] / 41, (index + 1) * (1 + chance[index + 3] / 256)) for index in range(3)]
    step = max(1, width // 128)
    ridge = []
    for x in range(0, width + step, step):
        swing = sum(math.sin(start + turns * math.tau * x / width) / turns for start, turns in waves)
        ridge.append((x, round(height * (0.3 + 0.4 * depth - 0.07 * swing))))
    ImageDraw.Draw(picture).polygon([(0, height), *ridge, (width, height)], fill=colour)


def _write(picture: Image.Image, text: str, note: str) -> None:
    size = max(8, picture.width // 32)
    font = ImageFont.load_default(size)
    lines = [*textwrap.wrap(" ".join(text.split()), 52)[:4], note]
    top = picture.height - (len(lines) + 1) * size * 5 // 4
    strip = (0, max(0, top - size // 2), picture.width, picture.height)
    picture.paste(picture.crop(strip).point(lambda level: level // 3), strip)
    ImageDraw.Draw(picture).multiline_text((size, top), "\n".join(lines), fill="white", font=font, spacing=size // 4)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
