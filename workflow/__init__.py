"""Parameters, artifacts and the runner: what belongs to no single stage."""
