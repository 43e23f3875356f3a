/* Runs tests, each in a process of its own. */

#ifndef RUNNER_H
#define RUNNER_H

#include "check.h"

/* Runs the tests of some lists whose names have every word in them, and no word that is given with a
 * '!' before it. Says which pass, and returns the status to exit with. The words end with NULL. */
int run_tests(const test *const *lists, size_t count, char **words);

#endif
