"""The rule set of every host, from the one declaration of the estate."""
