"""What a processor or an older runtime makes of a TFLite file: a file in, findings and placements out."""
