"""Sources of samples: ports, raw logs and lines of numbers in, events out."""
