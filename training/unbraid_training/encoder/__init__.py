"""The multi-interest user encoder: a trunk, an extraction of interests, and a short-term branch, each by choice."""

from unbraid_training.encoder.multi_interest import MultiInterestEncoder

__all__ = ["MultiInterestEncoder"]
