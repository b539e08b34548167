"""What makes and rolls out a release: template, package, policies. Never packaged itself."""
