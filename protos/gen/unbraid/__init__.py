"""Generated from the contract of unbraid."""
