"""The monitor: source -> blocks -> windows -> quality -> classifier -> decision -> sinks, one way.

Stages are named after ISO 13374 where they need a name: acquisition (the source), manipulation (windows), state
detection (quality and classifier), health assessment (decision), advisory generation (sinks).
"""
