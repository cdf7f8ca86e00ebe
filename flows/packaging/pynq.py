"""The driver that goes with a PYNQ overlay: one Python file that needs numpy and pynq only, written beside memory_map.json.

It is tried here against a stand-in for pynq that computes with the reference; it has run on no board.
"""

from __future__ import annotations

DRIVER = '''"""Runs the accelerator of this folder from Python on the board's own processor:

    from driver import Accelerator
    answers = Accelerator("arbonn.bit").infer(codes)        # codes: integers (frames, *shape), as the network's input takes them

Beside it: arbonn.bit and arbonn.hwh, which build.tcl makes, and memory_map.json.
"""

import json
from pathlib import Path

import numpy as np

MAP = json.loads(Path(__file__).with_name("memory_map.json").read_text())
AT = {register["name"]: register["address"] for register in MAP["registers"]}


def beat_bytes(end):
    """Bytes of a beat in memory: a DMA moves powers of two only."""
    return 1 << (end["tdata_bytes"] - 1).bit_length()


def pack(codes, end):
    """Codes of one frame to its beats, octets (beats, beat_bytes): lane 0 in the low bits, an element in its low `bits`."""
    elements = np.asarray(codes).astype(np.int64).reshape(end["beats"], end["lanes"])
    bits = (elements[:, :, None] >> np.arange(end["bits"])) & 1
    octets = np.packbits(bits.reshape(end["beats"], -1).astype(np.uint8), axis=1, bitorder="little")
    return np.pad(octets, ((0, 0), (0, beat_bytes(end) - octets.shape[1])))


def unpack(octets, end):
    """Beats of one frame to integers of the stream's shape and type."""
    bits = np.unpackbits(np.asarray(octets, np.uint8).reshape(end["beats"], -1), axis=1, bitorder="little")
    bits = bits[:, : end["lanes"] * end["bits"]].reshape(-1, end["bits"]).astype(np.int64)
    values = (bits << np.arange(end["bits"])).sum(axis=1)
    if end["dtype"] == "BIPOLAR":
        values = 2 * values - 1
    elif end["dtype"].startswith("INT"):
        values -= bits[:, -1] << end["bits"]
    return values.reshape(end["shape"])


class Accelerator:
    """The device. Raises RuntimeError if the bitstream holds another network than memory_map.json tells of."""

    def __init__(self, bitstream="arbonn.bit"):
        import pynq

        self.overlay = pynq.Overlay(str(bitstream))
        self.registers = self.overlay.accelerator
        ends = [(end, True) for end in MAP["inputs"]] + [(end, False) for end in MAP["outputs"]]
        self.ends = [(end, going_in, getattr(self.overlay, "dma_" + end["stream"])) for end, going_in in ends]
        self.buffers = [pynq.allocate((end["beats"], beat_bytes(end)), dtype=np.uint8) for end, _, _ in self.ends]
        found = (self.registers.read(AT["ID"]), self.registers.read(AT["GRAPH_HASH_HIGH"]), self.registers.read(AT["GRAPH_HASH_LOW"]))
        wanted = (MAP["id"], int(MAP["graph_digest"][:8], 16), int(MAP["graph_digest"][8:16], 16))
        if found != wanted:
            raise RuntimeError(f"the device holds another network: {found}, memory_map.json tells of {wanted}")

    def reset(self):
        """Drops all frames and clears the counters."""
        self.registers.write(AT["CONTROL"], 1)

    def cycles(self):
        """Cycles from the first beat since the reset to the end of the latest frame."""
        return self.registers.read(AT["CYCLES"])

    def infer(self, codes):
        """Answers to `codes` (frames, *shape) by stream name, each (frames, *shape). A frame goes when the one before it is answered."""
        answers = {end["stream"]: [] for end in MAP["outputs"]}
        for frame in np.asarray(codes):
            for (end, going_in, dma), buffer in zip(self.ends[::-1], self.buffers[::-1]):  # who takes first, then who gives
                if going_in:
                    buffer[:] = pack(frame, end)
                    buffer.flush()
                    dma.sendchannel.transfer(buffer)
                else:
                    dma.recvchannel.transfer(buffer)
            for (end, going_in, dma), buffer in zip(self.ends, self.buffers):
                (dma.sendchannel if going_in else dma.recvchannel).wait()
                if not going_in:
                    buffer.invalidate()
                    answers[end["stream"]].append(unpack(buffer, end))
        return {name: np.stack(frames) for name, frames in answers.items()}
'''
