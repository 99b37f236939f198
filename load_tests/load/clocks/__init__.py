"""What became of each request: intended, sent, completed, the server's stamps; histograms, lateness."""
