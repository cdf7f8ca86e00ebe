"""The page of a run: its figures are the graph's and the engine's, it is whole in itself, and it names what it could not show."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from arbonn.flows.buffers import busy_cycles
from arbonn.flows.report.answers import answers, png
from arbonn.flows.report.layers import HEAD, layers
from arbonn.flows.report.page import external_requests, figure, inline
from arbonn.flows.report.run_page import inline_svg, log_plots, measure_table, read_log, write_report
from arbonn.flows.report.timeline import STATES, draw, timeline
from arbonn.flows.report.verdict import commands, verdicts
from arbonn.flows.results import RunResult
from arbonn.flows.show import draw as draw_graph
from arbonn.hw import graph_file
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.units.fifo import FIFO
from arbonn.sim.timing import predict
from tests.flows.report.folders import FRAMES, WRONG, run_folder
from tests.flows.test_cli import arbonn
from tests.networks import mlp, small_network
from tests.strategies import chains
from tests.strategies_images import blocks


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult, str]:
    folder = tmp_path_factory.mktemp("run")
    result = run_folder(folder)
    write_report(result, folder / "report.html")
    return folder, result, (folder / "report.html").read_text()


def test_every_section_is_there_and_the_page_asks_for_nothing(run: tuple[Path, RunResult, str]) -> None:
    _, result, page = run
    found = re.findall(r'<h2 id="([a-z]+)"', page)
    assert found == ["summary", "graph", "waits", "layers", "training", "answers", "stages", "again"]
    assert "Not shown" not in page
    assert external_requests(page) == []
    assert "default-src 'none'" in page
    assert len(page.encode()) < 3_000_000
    for plot in ("curve-0", "curve-1", "curve-2", "confusion"):
        assert f'data-spec="{plot}"' in page
        assert f'data-plot="{plot}"' in page
    data = re.search(r'id="summary-data">(.*?)</script>', page)
    assert data is not None
    assert json.loads(data[1]) == result.as_json()


def test_the_command_counts_what_it_wrote_and_writes_the_same_again(run: tuple[Path, RunResult, str]) -> None:
    folder, _, page = run
    done = arbonn("report", folder, "--json")
    assert done.returncode == 0, done.stderr
    path = folder / "report.html"
    named = {"report": str(path), "file": str(path)}
    assert json.loads(done.stdout) == {"schema": 1, **named, "bytes": path.stat().st_size, "external_requests": 0}
    assert path.read_text() == page


def test_a_folder_that_lost_its_files_says_what_it_cannot_show(tmp_path: Path) -> None:
    result = run_folder(tmp_path)
    (tmp_path / "graph.npz").unlink()
    (tmp_path / "train" / "metrics.csv").write_text("no log\n")
    write_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    missing = page[page.index("Not shown") : page.index("</section>")]
    assert 'scope="row">graph, time and layers<' in missing
    assert "no log of a training" in missing
    assert re.findall(r'<h2 id="([a-z]+)"', page) == ["summary", "training", "stages", "again"]


@given(graph=chains() | blocks())
@settings(max_examples=10)
def test_a_unit_moves_in_the_cycles_of_its_transfers_and_every_look_has_one_state(graph: DataflowGraph) -> None:
    found, trace = timeline(graph, 2), predict(graph, 4)
    ends = [max(int(trace.transfers[s.id][k * s.transfers - 1]) for s in graph.outputs) for k in (1, 2)]
    assert (list(found.ends), found.cycles) == (ends, ends[-1] + 1)
    assert [unit.unit for unit in found.units] == [node.id for node in graph.ordered() if not isinstance(node, FIFO)]
    for unit in found.units:
        streams = graph.ports(graph.node(unit.unit)).values()
        times = {int(t) for s in streams for t in trace.transfers[s.id]}
        assert [state == "moves" for state in unit.looks] == [cycle in times for cycle in found.at]
        assert set(unit.looks) <= set(STATES)
        assert unit.spans[0][0] == min(times)
        assert unit.spans[1][1] == max(int(trace.transfers[s.id][2 * s.transfers - 1]) for s in streams)
    assert draw(found).count("<rect ") >= len(found.units)


def test_a_unit_before_a_slow_one_waits_to_be_relieved_and_one_behind_it_for_an_input() -> None:
    """mvau_1, of 16 columns by 16 rows, is four times as slow as mvau_0 with its 4 columns."""
    found = {unit.unit: unit for unit in timeline(mlp((4, 16, 16), "uint1", 0)).units}
    slow = max(found.values(), key=lambda unit: unit.busy)
    assert slow.unit == "mvau_1"
    assert found["mvau_0"].shares["output"] > 0.4
    assert found["mvau_0"].shares["input"] == 0
    assert found["logit_table"].shares["input"] > 0.5
    assert found["logit_table"].shares["output"] == 0


def test_layers_are_counted_by_hand() -> None:
    graph = small_network()  # 8 inputs, 4 and 4 neurons
    found = layers(graph, "ice40")
    by_unit = {str(row[0]): dict(zip(HEAD, row, strict=True)) for row in found.rows}
    assert by_unit["mvau_0"]["operations a frame"] == 2 * 8 * 4
    assert by_unit["mvau_1"]["weight bits"] == 16
    assert by_unit["logit_table"]["operations a frame"] is None
    busy = busy_cycles(graph)
    assert {name: row["busy cycles a frame"] for name, row in by_unit.items()} == busy
    assert by_unit["mvau_0"]["busy, % of the time"] == round(100 * busy["mvau_0"] / float(found.interval), 1)


def test_answers_count_every_frame_and_picture_the_wrong_ones(run: tuple[Path, RunResult, str]) -> None:
    folder, _, page = run
    found = answers(graph_file.load(folder), folder)
    assert (found.frames, found.all_frames, found.wrong_count) == (FRAMES, FRAMES, WRONG)
    assert sum(map(sum, found.confusion)) == FRAMES
    assert sum(found.confusion[k][k] for k in range(4)) == FRAMES - WRONG
    assert [w.number for w in found.wrong] == list(range(WRONG))
    assert page.count("data:image/png;base64,") == WRONG


@pytest.mark.parametrize(
    ("shape", "mode", "size"), [((64,), "L", (8, 8)), ((5, 7, 1), "L", (7, 5)), ((3, 2, 3), "RGB", (2, 3)), ((3,), "L", (3, 1))]
)
def test_a_picture_holds_the_frame(shape: tuple[int, ...], mode: str, size: tuple[int, int]) -> None:
    frame = np.arange(np.prod(shape)).reshape(shape)
    image = Image.open(io.BytesIO(base64.b64decode(png(frame)[0])))
    assert (image.mode, image.size) == (mode, size)
    pixels = np.asarray(image).reshape(-1)
    assert (pixels[0], pixels[-1]) == (0, 255)
    assert (np.diff(pixels.astype(int)) > 0).all()


def test_verdicts_follow_the_result(run: tuple[Path, RunResult, str]) -> None:
    _, result, _ = run
    assert [v.good for v in verdicts(result)] == [True, True, True, True, True, True, None]
    check = result.stages.check
    assert check is not None
    check = check.model_copy(update={"bit_mismatches": 3, "violations": 1})
    build = result.stages.build.model_copy(update={"used": {"ICESTORM_LC": 6000}, "timing_met": False})
    worse = result.model_copy(update={"stages": result.stages.model_copy(update={"check": check, "build": build})})
    assert [v.good for v in verdicts(worse)] == [True, True, False, False, False, False, None]
    assert "ICESTORM LC: 6,000 of 5,280" in [v.said for v in verdicts(worse)]


def test_a_long_log_is_thinned_and_a_layer_is_a_line() -> None:
    log = [{"epoch": k, "loss": 1 / k, **{f"ones/fc{n}": 0.5 for n in range(30)}} for k in range(1, 2001)]
    loss, ones = log_plots({"a": log})
    assert (len(loss.rows), loss.caption) == (2000, "every epoch")
    assert ones.caption == "every 10th epoch"
    assert list(ones.head) == ["epoch", *(f"fc{n}" for n in range(30))]


def test_measures_of_layers_stand_beside_each_other() -> None:
    head, rows = measure_table({"ones": 0.5, "ones/fc0": 0.25, "ones/fc1": 0.75, "sharpness": 2.0, "late/fc1": 1.0})
    assert head == ["measure", "whole network", "fc0", "fc1"]
    assert rows == [["ones", 0.5, 0.25, 0.75], ["sharpness", 2.0, None, None], ["late", None, None, 1.0]]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (5177913.4, "5,177,913"), (12.345678, "12.346"), (0.00012, "0.00012"), (None, "–"), ("a", "a")],
)
def test_a_cell_is_short_and_no_power_of_ten_where_it_is_large(value: object, text: str) -> None:
    assert figure(value) == text


def test_a_check_on_amaranth_s_own_simulator_is_told_by_its_command(run: tuple[Path, RunResult, str]) -> None:
    folder, result, _ = run
    check = result.stages.check
    assert check is not None
    assert commands(result, folder)["latency"] == f"arbonn check {folder}"
    alone = check.model_copy(update={"simulators": [check.simulators[0].model_copy(update={"name": "amaranth"})]})
    result = result.model_copy(update={"stages": result.stages.model_copy(update={"check": alone})})
    assert commands(result, folder)["latency"] == f"arbonn check {folder} --engine amaranth"


def test_a_log_of_half_an_epoch_has_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,loss,late\n1,0.5,\n2,0.25,3\n")
    assert read_log(tmp_path / "metrics.csv") == [{"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.25, "late": 3.0}]


def test_a_drawing_s_style_and_names_stay_its_own() -> None:
    svg = inline_svg(draw_graph(small_network(), "small"), "b-")
    assert "<style>" not in svg
    assert 'id="b-g-tip"' in svg
    assert "url(#b-g-tip)" in svg
    assert 'id="b-g-mvau_0"' in svg


@given(st.text())
def test_data_cannot_end_its_script(text: str) -> None:
    assert "<" not in inline([text])
    assert json.loads(inline([text])) == [text]


OUTSIDE = [
    '<img src="https://a.example/x.png">', '<link rel="stylesheet" href="//a.example/x.css">', "<style>@import 'http://a.example/x'</style>",
    '<p style="background: url(https://a.example/x)">', "<script>fetch('https://a.example/x')</script>", '<script src="http://a.example/x.js"></script>',
    "<style>p { background: url(//a.example/x) }</style>", '<script>new WebSocket("wss://a.example")</script>',
    '<img srcset="x.png 1x, https://a.example/x.png 2x">', '<use xlink:href="https://a.example/x.svg#a"/>', '<a href="https://a.example">a</a>',
]  # fmt: skip
INSIDE = ['<img src="data:image/png;base64,aa//">', '<a href="#a">a</a>', "<p>https://a.example</p>", '<script type="application/json">"fetch(\'https://a\')"</script>',
          "<script>const name = 'http://www.w3.org/2000/svg'; fetch(name)</script>", "<style>p { fill: url(#a) }</style>"]  # fmt: skip


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_request_to_another_place_is_counted(text: str) -> None:
    assert len(external_requests(f"<html><body>{text}</body></html>")) == 1


@pytest.mark.parametrize("text", INSIDE)
def test_what_asks_for_nothing_is_not_counted(text: str) -> None:
    assert external_requests(f"<html><body>{text}</body></html>") == []
