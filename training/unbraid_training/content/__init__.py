"""What the items say about themselves, as numbers that training can start from."""
