"""What a load leaves behind: `result.json`, `report.html`, percentile distributions as `.hgrm`."""
