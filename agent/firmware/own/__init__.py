"""Releases that this house or its installer signed, beside the publisher's."""
