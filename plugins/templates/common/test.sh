#!/bin/sh
# Whether anything is wrong with the plugin: its descriptor, its settings, and what it does.
exec "${IPCLUSTER:-ipcluster}" plugins check ./@NAME@.so
