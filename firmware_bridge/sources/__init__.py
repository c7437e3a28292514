"""Where the bytes come from: a port, a log or lines of text in, events out."""
