"""The embedded model: reflections made by rules from the words of the day, each claim with its source."""

from selo_dagster.llm.extractive.model import ExtractiveModel

__all__ = ["ExtractiveModel"]
