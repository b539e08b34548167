"""The platforms a studio connects: one file each, and the mechanism they share."""
