"""Models for other programs: ONNX with the preparation inside, int8, and what lies beside it."""
