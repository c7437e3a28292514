"""Recordings: one reader per file format, and catalogues for what the files do not say."""

from drsn_edge.recordings.load import load_recording, load_recordings
from drsn_edge.recordings.recording import Recording

__all__ = ["Recording", "load_recording", "load_recordings"]
