"""What sends a schedule into Kafka: the producer's sender, by a clock that another producer keeps."""
