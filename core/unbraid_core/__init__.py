"""The domain of unbraid in plain NumPy: decay, the pipeline, the ports, the release format."""
