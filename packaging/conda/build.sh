#!/bin/bash
set -euo pipefail
[ -x configure ] || ./autogen.sh
mkdir -p build-conda
cd build-conda
../configure --prefix="$PREFIX" --with-pythondir="$SP_DIR" PYTHON="$PYTHON" PYTHON_EXT_CFLAGS="-I$(python3-config --includes | sed 's/^-I//; s/ .*//')" PYTHON_EXT_LIBS=" "
make -j"$CPU_COUNT"
make install
find "$PREFIX/lib/ipcluster" "$SP_DIR/ipcluster" "$PREFIX/lib" -maxdepth 2 -name '*.la' -path '*ipcluster*' -delete
