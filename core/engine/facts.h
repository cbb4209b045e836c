/* What an engine says about itself when it registers, for people and clients. */
#ifndef ENGINE_FACTS_H
#define ENGINE_FACTS_H

#include <jansson.h>

#include "engine/engine.h"

/* A new object of short texts and numbers, or NULL if memory is short. */
json_t *facts_of(const struct engine *engine);

#endif
