"""The unbraid command."""
