"""Files and folders in, complete recordings out, with what catalogues say of them."""
