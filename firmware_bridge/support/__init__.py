"""Small things that every room here needs: bounded values, regular files, programs, printable text."""
