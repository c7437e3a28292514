"""Evaluation of a run or a bundle: a model and labelled windows in, figures, pictures and a report page out."""
