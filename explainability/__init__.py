"""Where a network looks, which covariates move it, and how far such maps may be believed.

Takes a ``keras.Model`` with inputs ``ecg`` (and ``covariates``), arrays and data frames; imports
none of the other packages.
"""
