"""The fixture `stubs`, shared with other folders of tests."""

from stub_study import stubs

__all__ = ["stubs"]
