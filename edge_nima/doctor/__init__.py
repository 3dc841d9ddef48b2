"""Whether this machine can score and watch: each thing looked at is a line, and what crashes is a line as well."""
