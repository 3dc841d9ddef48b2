"""Whether this machine can score and watch: `checks.examine` looks at everything.

What may crash (an import, an inference) runs in a process of its own, so that an illegal instruction or a hang becomes
a finding.
"""
