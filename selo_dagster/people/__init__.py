"""People: who they are, where they live, and which local dates they lived."""
