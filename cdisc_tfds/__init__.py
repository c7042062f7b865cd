"""The Cdiscount products as a TFDS data set; importing this registers it, so that
`tfds.load('cdiscount')` and `tfds build cdiscount --imports=cdisc_tfds` find it."""

import os

# The processes of a build handle bytes: half a second each is saved by not importing TFDS there.
if "CDISCOUNT_BUILD_WORKER" not in os.environ:
    from cdisc_tfds.cdiscount.cdiscount_dataset_builder import Builder as Builder
