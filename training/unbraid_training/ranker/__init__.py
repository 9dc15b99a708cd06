"""Training of the learned profile: its sources, its examples at earlier moments, and the ranker over them."""
