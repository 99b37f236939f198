"""Training, thresholds and the model artefact: from a history to something a scorer can serve."""
