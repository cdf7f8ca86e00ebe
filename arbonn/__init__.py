"""arbonn: binary neural networks from training to an FPGA bitstream that is checked in every bit and every cycle."""

__version__ = "0.1.0"
