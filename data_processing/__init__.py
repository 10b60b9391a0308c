"""ECGs and clinical tables: reading, checking, selecting, splitting, and the synthetic cohort."""
