"""Our compiled trees behind the same Starlette as the rival's: for the table of the model alone.

It is no part of the product, whose API takes transactions.
"""

from pathlib import Path

from load_tests.rivals.common import given
from load_tests.rivals.vector_app import serve_vectors
from model.artefact.files import load_model

if __name__ == "__main__":
    GIVEN = given()
    forest = load_model(Path(GIVEN.model_dir)).serving
    serve_vectors(lambda row: float(forest.predict(row)[0]), GIVEN.port)
