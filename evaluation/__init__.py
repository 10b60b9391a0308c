"""Honest figures for predicted risks: the patient is the unit, every estimate has an interval.

Start at :func:`evaluation.summary.evaluate`, which turns the predictions of several variants into
tables; :mod:`evaluation.figures` draws each table. The package reads arrays and frames only: it
never sees a model, and it never imports Keras or TensorFlow.
"""
