"""The whole chain without hardware: nothing in; a trained bundle, a monitored machine and a picture out."""
