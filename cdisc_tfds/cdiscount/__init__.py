"""The TFDS data set `cdiscount`: builder, description, tags, citation and dummy data."""
