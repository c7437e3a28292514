"""The report on an int8 file: a file in; its description, its targets and its effect on windows out."""
