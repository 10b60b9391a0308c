"""Public ECG collections in their published layouts, read as cohorts; one module a layout."""
