# What ipcluster plugins new makes folders from. A build tree has a link to them.
nobase_dist_pkgdata_DATA = \
	plugins/templates/common/Makefile \
	plugins/templates/common/debian/changelog \
	plugins/templates/common/debian/control \
	plugins/templates/common/debian/copyright \
	plugins/templates/common/debian/rules \
	plugins/templates/common/debian/source/format \
	plugins/templates/common/ipcluster-NAME.7 \
	plugins/templates/common/ipcluster-NAME.spec \
	plugins/templates/common/test.sh \
	plugins/templates/batch/NAME.c \
	plugins/templates/batch/expected.txt \
	plugins/templates/batch/samples/query \
	plugins/templates/batch/samples/submit \
	plugins/templates/batch/test.sh \
	plugins/templates/kernel/NAME.c \
	plugins/templates/launcher/NAME.c \
	plugins/templates/mpi/NAME.c \
	plugins/templates/serial/NAME.c \
	plugins/templates/store/NAME.c

all-local: link-templates
link-templates:
	@test -e plugins/templates || { $(MKDIR_P) plugins && $(LN_S) $(abs_top_srcdir)/plugins/templates plugins/templates; }
clean-local: unlink-templates
unlink-templates:
	test ! -L plugins/templates || rm -f plugins/templates
.PHONY: link-templates unlink-templates
