"""The monitor over recordings: recordings in, verdicts over time, alarm settings and pictures out."""
