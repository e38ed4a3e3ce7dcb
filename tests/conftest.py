"""Settings for all tests; its place puts `tests/` on the path, so that `import stubs` works."""

from hypothesis import settings

# The machines that run these tests are shared: how long an example takes says nothing.
settings.register_profile("numdl", deadline=None)
settings.load_profile("numdl")
