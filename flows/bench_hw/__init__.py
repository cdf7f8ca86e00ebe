"""`make bench-hw`: how small and how fast the hardware is, beside da4ml in the same run and beside figures of FINN's. Never a test."""
