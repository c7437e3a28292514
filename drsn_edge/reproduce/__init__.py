"""Accuracies that a sceptic can reproduce: protocols as lists of jobs, a sweep that resumes, its tables."""
