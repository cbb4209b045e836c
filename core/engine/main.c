/* ipengine: an engine, or what becomes one. */
#include "engine/run.h"

int main(int argc, char **argv)
{
    return engine_run(argc, argv, false);
}
