"""Figures are datasets: a step returns one, and whoever reads it gets a picture."""

from __future__ import annotations

import re
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import altair as alt
import matplotlib as mpl
import obstore
import polars as pl
import pytest
from mainstem import databases, testing
from mainstem.databases import files
from mainstem.databases.objects import Bucket
from mainstem.databases.pictures import Picture, picture_of
from mainstem.errors import DatasetError, StepFailed
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.runtime.steps import make_table, step

PNG = b"\x89PNG\r\n\x1a\n"


def plot(table: pl.DataFrame, *, title: str = "fares") -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.plot(table["fare"])
    axes.set_title(title)
    return figure


def chart(table: pl.DataFrame) -> Any:
    return alt.Chart(table).mark_line(clip=True).encode(x="id:Q", y="fare:Q", color="fare:Q")


def look_at(picture: Picture) -> str:
    assert isinstance(picture, Picture)
    return picture.kind


PIPELINES = {
    "training": [
        step(make_table, [], ["trips"]),
        step(plot, ["trips"], ["fares"]),
        step(chart, ["trips"], ["lines"]),
        {**step(look_at, ["fares"], ["kind"]), "name": "look"},
    ]
}


def test_a_figure_and_a_chart_are_stored_as_pictures_that_steps_and_readers_get(bucket: Bucket) -> None:
    with testing.temporary_environment(bucket=bucket):
        testing.run_pipeline(PIPELINES, "training")
        fares, lines = databases.load("fares"), databases.load("lines")
        assert databases.load("kind") == "png"
        assert databases.find("fares").path.endswith(".png")
        assert databases.find("lines").path.endswith(".svg")
    assert (fares.kind, fares.data[:8]) == ("png", PNG)
    assert ET.fromstring(lines.data).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_same_figure_has_the_same_identity_so_that_what_follows_is_reused() -> None:
    bucket, table = Bucket.memory(), make_table()
    for make in (plot, chart):
        one = files.write(bucket, f"data/p/{make.__name__}/one", make(table))
        two = files.write(bucket, f"data/p/{make.__name__}/two", make(table))
        assert one.identity == two.identity
    other = files.write(bucket, "data/p/plot/other", plot(table, title="others"))
    assert other.identity != files.write(bucket, "data/p/plot/again", plot(table)).identity


def test_a_notebook_shows_a_picture_and_it_can_be_saved(tmp_path: Path) -> None:
    png, svg = picture_of(plot(make_table())), picture_of(chart(make_table()))
    assert png
    assert svg
    assert (png._repr_png_(), png._repr_svg_()) == (png.data, None)
    assert (svg._repr_png_(), svg._repr_svg_()) == (None, svg.data.decode())
    assert len(repr(png)) < 100
    png.save(tmp_path / "fares.png")
    assert (tmp_path / "fares.png").read_bytes() == png.data


@pytest.mark.parametrize(
    "value", [1, "Figure", {"figure": 1}, object(), pl.DataFrame(), None], ids=lambda value: type(value).__name__
)
def test_what_is_no_figure_is_no_picture(value: object) -> None:
    assert picture_of(value) is None


def test_a_class_of_ones_own_that_is_a_figure_is_one_and_a_namesake_is_not() -> None:
    class Own(Figure):
        pass

    class Namesake:
        pass

    Namesake.__name__ = "Figure"
    assert picture_of(Own())
    assert picture_of(Namesake()) is None


def test_all_of_a_layered_chart_with_many_rows_is_drawn() -> None:
    many = pl.DataFrame({"id": range(6000), "fare": [1.0] * 6000})  # more than Altair takes without asking
    picture = picture_of(chart(many) + alt.Chart(many).mark_rule().encode(x="id:Q"))
    assert picture
    assert picture.data.count(b"<line") >= 6000


def test_a_figure_that_is_open_stays_open_and_needs_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    mpl.use("Agg")
    figure = plt.figure()
    found: list[Picture | None] = []
    thread = threading.Thread(target=lambda: found.append(picture_of(figure)))
    thread.start()
    thread.join()
    assert found[0]
    assert plt.fignum_exists(figure.number)
    plt.close(figure)


def test_figures_drawn_at_the_same_time_are_those_drawn_one_by_one() -> None:
    tables = [pl.DataFrame({"id": [1, 2], "fare": [float(one), 1.0]}) for one in range(4)]
    alone = [[picture_of(make(table)) for make in (plot, chart)] for table in tables]
    together: dict[int, list[Picture | None]] = {}

    def draw(index: int) -> None:
        together[index] = [picture_of(make(tables[index])) for make in (plot, chart)]

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(len(tables))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [together[index] for index in range(len(tables))] == alone


def test_without_vl_convert_a_chart_fails_its_step_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with testing.temporary_environment(), pytest.raises(StepFailed) as caught:
        testing.run_pipeline(PIPELINES, "training")
    assert re.search(r"'lines' cannot be stored: .* add vl-convert-python to pyproject\.toml", str(caught.value))


@pytest.mark.parametrize("data", [b"", PNG, b"<svg/>"], ids=["empty", "cut", "another"])
def test_a_damaged_picture_is_named(data: bytes) -> None:
    bucket = Bucket.memory()
    output = files.write(bucket, "data/p/d/one", plot(make_table()))
    obstore.put(bucket.storage.store, output.path, data)
    with pytest.raises(DatasetError, match=r"data/p/d/one\.png is damaged"):
        files.read(bucket, output)
