"""A look at recordings before anything is trained: files in; levels, damage, gaps and a proposed catalogue out."""
