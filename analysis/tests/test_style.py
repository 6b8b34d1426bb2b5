"""Colours that people with any colour vision can tell apart."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from analysis import style
from analysis.tests.conftest import ALGORITHMS

# On linear RGB: Machado, Oliveira and Fernandes (2009), "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", severity 1.0.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# From linear sRGB (IEC 61966-2-1), white at (1, 1, 1) after division by the sums of the rows.
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
APART = 19.0  # CIE76; seaborn's blue, green and grey have 10.8


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Return CIELAB of a linear RGB colour."""
    x, y, z = (np.cbrt(t) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in XYZ @ rgb / XYZ.sum(1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lab_of_known_colours():
    assert lab(linear("white")) == pytest.approx([100, 0, 0], abs=1e-6)
    assert lab(linear("red")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


@pytest.mark.parametrize("vision", VISION)
def test_algorithms_differ_in_colour_to_everybody(vision):
    seen = [lab(np.clip(VISION[vision] @ linear(colour), 0, 1)) for colour in style.colours(ALGORITHMS).values()]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > APART


@pytest.mark.parametrize("colour", style.colours(ALGORITHMS).values())
def test_names_in_their_colours_can_be_read_on_white(colour):
    assert 1.05 / ((XYZ @ linear(colour))[1] + 0.05) > 3  # contrast ratio of WCAG 2 for graphics and large text
