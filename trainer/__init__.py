"""Trains, evaluates and submits on the data set that cdisc_tfds builds."""
