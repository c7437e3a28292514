"""Small things that every room needs and that know nothing of vibration: files, TOML, archives, processes, words."""
