"""Data, encoders, training and offline evaluation. Importing this package does not import torch."""
