/* A program that a test runs: one of the examples. */

#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdint.h>
#include <sys/types.h>

typedef struct {
    pid_t pid;
    /* What it reads, and what it prints. */
    int in, out;
} program;

/* The folder that has the programs. */
extern const char *programs_path;

/* Starts a program of the folder, with one argument, or with none if that is NULL. */
program program_start(const char *name, const char *argument);

/* Waits for the first line that it prints, and reads the port behind some words of that; 0 when the
 * program ends without. */
uint16_t program_port(const program *program, const char *words);

/* Waits until it has printed a text, after what was waited for before. */
void program_expect(const program *program, const char *text);

/* Gives it a line to read. */
void program_say(const program *program, const char *line);

/* Ends what it reads. */
void program_end_input(program *program);

/* Waits for the program's end, by the end of what it prints, and returns its status. */
int program_status(program *program);

#endif
