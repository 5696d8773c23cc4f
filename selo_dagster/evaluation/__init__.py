"""What the project is measured by."""
