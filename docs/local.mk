EXTRA_DIST += docs/guide.md
