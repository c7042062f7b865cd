"""The Cdiscount products as a TFDS data set; importing this registers it, so that
`tfds.load('cdiscount')` and `tfds build cdiscount --imports=cdisc_tfds` find it."""

from cdisc_tfds.cdiscount.cdiscount_dataset_builder import Builder as Builder
