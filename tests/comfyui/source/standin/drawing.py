"""The pictures: patterns that are the same for the same words and numbers, with the prompt written on them."""

from __future__ import annotations

import colorsys
import hashlib
import textwrap

from PIL import Image, ImageDraw, ImageFont, ImageOps

_ORBS = 5


def draw(text: str, seed: int, width: int, height: int, style: str = "") -> Image.Image:
    """Return a picture for a prompt; `style` is whatever else is to change the colours (models, steps, guidance)."""
    chance = hashlib.shake_256(f"{text}\0{seed}\0{style}".encode()).digest(64)
    picture = _background(chance, width, height)
    for number in range(_ORBS):
        _add_orb(picture, chance[8 + 5 * number : 13 + 5 * number])
    _write(picture, text, f"ComfyUI stand-in, seed {seed}")
    return picture


def preview(picture: Image.Image, progress: float, longest_side: int) -> Image.Image:
    """Return a small picture that is blurred at the beginning (0.0) and clear at the end (1.0)."""
    small = ImageOps.contain(picture, (longest_side, longest_side))
    grain = max(1, round((1.0 - progress) * 24))
    coarse = small.resize((max(1, small.width // grain), max(1, small.height // grain)))
    return coarse.resize(small.size)


def _background(chance: bytes, width: int, height: int) -> Image.Image:
    gradient = Image.linear_gradient("L").rotate(chance[0] * 360 / 256).resize((width, height))
    hue = chance[1] / 256
    dark, middle, light = (
        _colour(hue + turn, saturation, value)
        for turn, saturation, value in ((0, 0.7, 0.2), (0.1, 0.6, 0.6), (0.2, 0.35, 0.95))
    )
    return ImageOps.colorize(gradient, black=dark, mid=middle, white=light)


def _add_orb(picture: Image.Image, chance: bytes) -> None:
    size = max(8, min(picture.size) * (64 + chance[0]) // 400)
    glow = ImageOps.invert(Image.radial_gradient("L")).resize((size, size)).point(lambda level: level * 2 // 3)
    corner = (picture.width * chance[1] // 256 - size // 2, picture.height * chance[2] // 256 - size // 2)
    picture.paste(_colour(chance[3] / 256, 0.5, 1.0), (*corner, corner[0] + size, corner[1] + size), glow)


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
