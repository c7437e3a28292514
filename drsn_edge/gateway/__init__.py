"""This gateway and others: bundles in, slots, trials, services and rollouts out."""
