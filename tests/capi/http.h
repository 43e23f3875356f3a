/* An HTTP client that shows what it gets: a status, header fields, and content as text. */

#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>
#include <stdint.h>

typedef struct http http;

/* Sends a request of HTTP/1.0 for a target, with lines of header fields, and reads the answer's head. */
http *http_get(uint16_t port, const char *target, const char *fields);

/* The same with a method and content. */
http *http_send(uint16_t port, const char *method, const char *target, const char *fields,
                const char *content);

/* The same at a Unix domain socket. */
http *http_get_unix(const char *path, const char *target);

/* Sends a request and does not wait for its answer. */
http *http_ask(uint16_t port, const char *target, const char *fields);

/* Sends bytes that are more than a request, such as a header of the PROXY protocol and one. */
http *http_ask_with(uint16_t port, const char *bytes);

/* Whether something of the answer has come, for which it waits so long at most. */
int http_is_answered(const http *http, int wait_ms);

/* Reads the answer's head. */
void http_await(http *http);

/* Reads the answer that comes over a socket, which this closes. */
http *http_over(int fd);

int http_status(const http *http);

/* The value of a header field, by its name in small letters; "" if there is none. */
const char *http_header(const http *http, const char *name);

/* Waits until the content that was not yet waited for has a text in it. */
void http_expect(http *http, const char *text);

/* Whether a text was received so far. */
int http_has(const http *http, const char *text);

/* Waits until the server has closed the connection, and returns the rest of the content. */
const char *http_rest(http *http);

void http_free(http *http);

#endif
