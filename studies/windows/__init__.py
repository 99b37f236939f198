"""Study: hopping and tumbling windows against exact ones, by the error of features, decisions and money."""
