"""Lowered networks in the dialect of finn-base: integer graphs with its own operators."""
