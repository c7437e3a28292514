"""Choices of sinks; help texts use them without loading the sinks."""

HOME_ASSISTANT = "homeassistant"
TOPICS = ("plain", HOME_ASSISTANT)
"""MQTT topics: the project's own, or in addition those for Home Assistant discovery."""
