"""A release whose catalogue has changed since: its rows as they are, further rows behind them, and tombstones."""
