/* Memory that lives as long as one call or job: what is read of JavaScript is copied into it. */

#include "addon.h"

#define ALIGNMENT 16

struct block {
    block *next;
    _Alignas(ALIGNMENT) char bytes[];
};

void memory_init(memory *given) {
    given->blocks = NULL;
    given->used = 0;
}

void *memory_take(napi_env env, memory *given, size_t size) {
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded < size || rounded > SIZE_MAX - sizeof(block)) {
        throw_code(env, FANFARE_ERR_SYSTEM);
        return NULL;
    }
    if (rounded <= sizeof(given->first) - given->used) {
        void *taken = given->first + given->used;
        given->used += rounded;
        return memset(taken, 0, rounded);
    }
    block *made = calloc(1, sizeof(*made) + rounded);
    if (!made) {
        throw_code(env, FANFARE_ERR_SYSTEM);
        return NULL;
    }
    made->next = given->blocks;
    given->blocks = made;
    return made->bytes;
}

void memory_free(memory *given) {
    while (given->blocks) {
        block *next = given->blocks->next;
        free(given->blocks);
        given->blocks = next;
    }
    given->used = 0;
}
