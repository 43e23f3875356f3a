#include "program.h"

#include "check.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *programs_path;

program program_start(const char *name, const char *argument)
{
    program program;
    char path[512];
    int in[2], out[2];
    int length = snprintf(path, sizeof path, "%s/%s", programs_path, name);

    CHECK(length > 0 && (size_t)length < sizeof path);
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    fflush(NULL);
    program.pid = fork();
    CHECK(program.pid >= 0);
    if (program.pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execl(path, path, argument, (char *)NULL);
        perror(path);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    program.in = in[1];
    program.out = out[0];
    return program;
}

/* Reads what is printed next, within the deadline; 0 at its end. */
static size_t read_some(const program *program, char *bytes, size_t size)
{
    struct pollfd readable;
    ssize_t count;

    readable.fd = program->out;
    readable.events = POLLIN;
    CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
    count = read(program->out, bytes, size);
    CHECK(count >= 0);
    return (size_t)count;
}

uint16_t program_port(const program *program, const char *words)
{
    char line[256];
    size_t len = 0, count;
    unsigned port = 0;
    const char *at;

    do {
        CHECK(len < sizeof line - 1);
        count = read_some(program, line + len, sizeof line - 1 - len);
        if (count == 0) {
            return 0;
        }
        len += count;
        line[len] = '\0';
    } while (strchr(line, '\n') == NULL);
    at = strstr(line, words);
    CHECK(at != NULL && sscanf(at + strlen(words), "%u", &port) == 1);
    CHECK(port > 0 && port <= UINT16_MAX);
    return (uint16_t)port;
}

void program_expect(const program *program, const char *text)
{
    char printed[4096];
    size_t len = 0, count;

    do {
        CHECK(len < sizeof printed - 1);
        /* One at a time, so that what comes behind the text is left for later. */
        count = read_some(program, printed + len, 1);
        CHECK(count == 1);
        len += count;
        printed[len] = '\0';
    } while (strstr(printed, text) == NULL);
}

void program_say(const program *program, const char *line)
{
    CHECK_EQ(write(program->in, line, strlen(line)), strlen(line));
}

void program_end_input(program *program)
{
    CHECK(close(program->in) == 0);
    program->in = -1;
}

int program_status(program *program)
{
    char rest[256];
    int status = 0;

    while (read_some(program, rest, sizeof rest) > 0) {
    }
    CHECK(waitpid(program->pid, &status, 0) == program->pid);
    close(program->out);
    if (program->in >= 0) {
        close(program->in);
    }
    return status;
}
