"""Accuracies that anyone can reproduce: protocols as lists of jobs in, resumable sweeps and their tables out."""
