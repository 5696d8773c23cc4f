"""The bundled example people: three weeks of conversations, memories and feelings of thirteen fictional lives."""
