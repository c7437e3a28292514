"""The monitor: sensors and their settings in, results to every sink out.

Stages are named after ISO 13374 where they need a name: acquisition (the source), manipulation (windows), state
detection (quality and classifier), health assessment (decision), advisory generation (sinks).
"""
