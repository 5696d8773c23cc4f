"""Triggers: rules over the event stream that turn a strong moment into one reflection, within seconds."""
