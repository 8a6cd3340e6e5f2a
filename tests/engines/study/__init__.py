"""A project whose pipelines are graph shapes times behaviours."""
