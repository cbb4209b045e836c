#!/bin/bash
# Its name is not build.sh: conda-build would run that before the outputs, when nothing is installed
# yet.
set -euo pipefail
[[ -x configure ]] || ./autogen.sh
mkdir -p build-conda
cd build-conda
include=$("${PYTHON}" -c 'import sysconfig; print(sysconfig.get_path("include"))')
../configure --prefix="${PREFIX}" --with-pythondir="${SP_DIR}" PYTHON="${PYTHON}" PYTHON_EXT_CFLAGS="-I${include}" PYTHON_EXT_LIBS=" "
make -j"${CPU_COUNT}"
make install
find "${PREFIX}/lib" -name '*.la' -path '*ipcluster*' -delete
