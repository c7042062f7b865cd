"""A look at a data set before training, as one page."""
