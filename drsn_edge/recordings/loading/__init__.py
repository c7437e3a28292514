"""Loading: files, folders and their catalogues in, complete recordings out."""
