"""Checkpoint to ONNX, with a parity check."""
