"""How good what is made is: bundled cases through the real path, and what they say of a prompt or a model."""
