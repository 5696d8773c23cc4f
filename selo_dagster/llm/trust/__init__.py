"""What can be trusted: orders, links, secrets and identifiers in what people wrote, and in what a model answers."""
