"""Where the bytes come from. Each source iterates over events; import the one that is needed."""
