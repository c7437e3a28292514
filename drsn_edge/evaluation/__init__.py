"""How well a run or a bundle does: a model and labelled windows in, figures, pictures and a page out."""
