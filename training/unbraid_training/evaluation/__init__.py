"""Offline evaluation: ranking metrics, baselines, intervals and reports; free of torch."""
