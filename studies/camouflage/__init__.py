"""Study: what hiding is worth to fraudsters, by typology, in the money of the ledger."""
