"""Study: a model trained on features as one regime serves them, and served by another."""
