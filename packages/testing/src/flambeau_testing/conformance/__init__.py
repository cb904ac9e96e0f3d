"""The families of conformance tests, one file each; `flambeau.testing.suite` puts them together."""
