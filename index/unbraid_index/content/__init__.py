"""Item vectors from what the items say about themselves: text to tokens, and tokens through item_encoder.onnx."""
