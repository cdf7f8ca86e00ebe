"""A QONNX file to an integer dataflow graph: import, cut, evaluate, rewrite, compare with the file."""
