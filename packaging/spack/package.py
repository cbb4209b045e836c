# Copyright Spack Project Developers. See COPYRIGHT file for details.
#
# SPDX-License-Identifier: (Apache-2.0 OR MIT)

from spack_repo.builtin.build_systems.autotools import AutotoolsPackage

from spack.package import *


class Ipcluster(AutotoolsPackage):
    """Interactive parallel computing with IPython and MPI: a controller, engines that run
    Python (and MPI) for a client, launchers that start both, and clients in C and Python."""

    homepage = "https://example.org/ipcluster"
    url = "https://example.org/ipcluster/ipcluster-0.1.0.tar.xz"
    git = "https://example.org/ipcluster.git"

    license("BSD-2-Clause")

    version("main", branch="main")

    variant("mpi", default=True, description="Build the MPI initialiser 'native' for Open MPI")

    depends_on("c", type="build")
    depends_on("autoconf", type="build", when="@main")
    depends_on("automake", type="build", when="@main")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("jansson@2.12:")
    depends_on("libtool")
    depends_on("libuv@1.40:")
    depends_on("libzmq@4.3:")
    depends_on("msgpack-c@3:")
    depends_on("openmpi", when="+mpi")
    depends_on("openssl@3:")
    depends_on("python@3.11:", type=("build", "link", "run"))
    depends_on("sqlite@3.35:")
    depends_on("uthash", type="build")

    extends("python")

    def configure_args(self):
        args = [f"--with-pythondir={python_platlib}", f"PYTHON={self.spec['python'].command.path}"]
        args.extend(self.with_or_without("mpi"))
        return args

    def check(self):
        """The unit tests are written for Criterion, which Spack does not have."""

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_version(self):
        for name in ("ipcluster", "ipcontroller", "ipengine"):
            Executable(join_path(self.prefix.bin, name))("--version")
