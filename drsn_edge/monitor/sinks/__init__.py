"""Where results go, one file each. A sink takes a result and knows nothing of the pipeline."""
