"""The wire protocol: bytes in; frames, messages, blocks of samples and counts of lost data out."""
