/* docs/options.md, read from the folder that the tests run in: the repository's root. */

#ifndef DOCUMENT_H
#define DOCUMENT_H

#include <stddef.h>
#include <stdint.h>

/* The default of an option, by its name in C, in the ABI's unit; 0 for `shards`, whose default is the
 * machine's. Ends the test when the document has no such option, or not as a number. */
uint64_t document_default(const char *option);

/* The number of options that cross the ABI: those of the engine that are numbers. */
size_t document_count(void);

#endif
