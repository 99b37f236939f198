"""Our compiled trees behind the same Starlette as the rival's, for the table of the model alone.

Not part of the product, whose API takes transactions.
"""

from pathlib import Path

from load_tests.rivals.scoring_setup import read_setup
from load_tests.rivals.vector_app import serve_vectors
from model.artefact.files import load_model

if __name__ == "__main__":
    SETUP = read_setup()
    forest = load_model(Path(SETUP.model_dir)).serving
    serve_vectors(lambda row: float(forest.predict(row)[0]), SETUP.port)
