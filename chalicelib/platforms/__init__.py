"""The platforms a studio can connect: one file or folder each, and the code they share."""
