/* Queues of notices, and hubs that tell one of their connections. */

#ifndef WATCHED_H
#define WATCHED_H

#include <stddef.h>
#include <stdint.h>

#include <fanfare.h>

#define TOKEN 0xfeedfacecafebeefu

/* A hub that tells a queue of its connections. */
typedef struct {
    fanfare_hub *hub;
    fanfare_notices *notices;
    uint16_t port;
} watched;

/* A hub that listens, and a queue with a capacity, whose notices have TOKEN. */
watched watched_new(size_t capacity);

void watched_free(watched *watched);

/* A queue of notices. */
fanfare_notices *notices_new(void);

/* Whether the doorbell of a queue is readable now. */
int notices_ring(const fanfare_notices *notices);

/* Waits until the doorbell of a queue is readable. */
void notices_wait(const fanfare_notices *notices);

/* Waits for the next notice of a queue, whose texts are valid until the next drain. */
fanfare_notice notices_next(const fanfare_notices *notices);

/* Drains at most `capacity` notices into an array, and returns how many there were. */
size_t drain(const fanfare_notices *notices, fanfare_notice *array, size_t capacity);

#endif
