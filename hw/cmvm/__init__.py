"""Constant binary matrix-vector products in LUTs and carry chains: what an unrolled layer is made of.

`layer.build` is the way in. `costs` knows what a sum of bits costs, `tree` finds which outputs are computed from which, `sums` and `layer`
make the netlist, `netlist` holds, counts and evaluates it, `verilog` writes it.
"""
