"""What can be chosen about sinks, for help that must not wait for them."""

HOME_ASSISTANT = "homeassistant"
TOPICS = ("plain", HOME_ASSISTANT)
"""What MQTT carries: the project's own topics, or those by which Home Assistant finds a machine as well."""
