"""Helpers that every part of firmware_bridge uses: bounded values, regular files, programs, printable text."""
