"""Will tonight fit: what is due in the coming hours, how long it takes, and what would be late."""
