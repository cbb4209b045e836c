/* What an engine says of itself when it registers: people and clients are told of it. */
#ifndef ENGINE_FACTS_H
#define ENGINE_FACTS_H

#include <jansson.h>

#include "engine/engine.h"

/* A new object of short texts and numbers, or NULL where memory is short. */
json_t *facts_of(const struct engine *engine);

#endif
