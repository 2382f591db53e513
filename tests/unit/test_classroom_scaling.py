# SPDX-License-Identifier: GPL-3.0-or-later
"""The page and the picture of what was measured."""

from xml.etree import ElementTree

from klab.classroom import scaling

ROWS = [
    {"seats": 1, "open_s": 10.0, "again_s": 5.0, "memory_mib": 300},
    {"seats": 3, "open_s": 18.0, "again_s": 5.0, "memory_mib": 700},
]
SVG = "{http://www.w3.org/2000/svg}"


def test_growth_is_the_slope() -> None:
    assert round(scaling.growth(ROWS, "open_s"), 6) == 4
    assert scaling.growth(ROWS, "again_s") == 0
    assert scaling.growth(ROWS[:1], "open_s") == 0
    assert scaling.growth(ROWS, "nothing") == 0


def test_the_page_says_what_was_measured() -> None:
    text = "\n".join(scaling.page({"vms": {"date": "2026-01-02", "rows": ROWS}}))
    assert "| 3 | 18.0 | 5.0 | 700 |" in text
    assert "Each further seat: 4.00 s, 0.00 s again, 200 MiB." in text
    assert scaling.KINDS["light"] not in text


def test_the_picture_shows_each_point() -> None:
    root = ElementTree.fromstring(scaling.picture(ROWS))  # noqa: S314 - made just now
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [2, 2]
    assert len(list(root.iter(f"{SVG}circle"))) == 4
    first, last = (tuple(map(float, point.split(","))) for point in lines[0])
    assert last[0] > first[0], "more seats are further to the right"
    assert last[1] < first[1], "more seconds are higher"
