"""Classical recommenders that every release is measured against, tuned and scored under one protocol."""
