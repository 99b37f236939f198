"""How fetched bytes become records: unpacked within bounds, kept where aiokafka gives up."""
