"""Running it for others: status, and the whole thing on one machine."""
