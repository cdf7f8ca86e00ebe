"""Networks whose branches part and meet lower exactly: every integer point, joins too, equals the file's."""

from __future__ import annotations

import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.flows.lowering.lower import drawn_frames
from arbonn.flows.lowering.verify import verify
from tests.flows.branched import branched
from tests.flows.lowering.test_lower_conv import lowered


@settings(max_examples=60)
@given(case=branched(), seed=st.integers(0, 99))
def test_graph_equals_the_file_under_the_tie_rule(case: tuple[onnx.ModelProto, str], seed: int) -> None:
    built, graph = lowered(*case)
    seen = verify(graph, built, drawn_frames(graph.contract, graph.inputs[0].elements, 8, seed))
    assert seen.mismatches == []
    assert seen.labels_equal + len({t.sample for t in seen.ties}) >= 8
