"""What a stream passes through: events of a source in, window results, decisions and alarms out."""
