#!/bin/sh
# Whether anything is wrong with the table, and whether it reads in the samples what stands in
# expected.txt.
"${IPCLUSTER:-ipcluster}" plugins check ./@NAME@.so --samples=samples > found.txt || {
    cat found.txt
    exit 1
}
grep -v "nothing is wrong" found.txt | diff -u expected.txt -
