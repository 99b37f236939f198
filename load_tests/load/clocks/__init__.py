"""What became of each request: intended, sent and completed times, the server's stamps, histograms, lateness."""
