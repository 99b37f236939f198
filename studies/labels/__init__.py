"""Study: what late, selective and wrong labels cost, and what exploration is worth."""
