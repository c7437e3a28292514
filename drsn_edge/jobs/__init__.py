"""Jobs on the cores of this machine or of a cluster: a function and its arguments in, results as they come out."""
