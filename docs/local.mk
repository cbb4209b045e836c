EXTRA_DIST += docs/guide.md
EXTRA_DIST += docs/examples/c_client/Makefile docs/examples/c_client/c_client.c
EXTRA_DIST += docs/examples/launcher/Makefile docs/examples/launcher/wrap.c
