"""The protocol on the wire: bytes in, frames, messages, sample blocks and counts of what was lost out."""
