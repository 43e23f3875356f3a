// What Go calls instead of the C ABI itself, where a call by one name with plain arguments and a struct as its
// result is cheaper or simpler than pointers to Go's memory. It is included by the preambles of cgo alone, which
// declare _GoString_.
//
// A string that is an argument stays where it is until the call returns, and the library copies it before.
// Nothing here keeps a pointer.
#ifndef FANFARE_GO_NATIVE_H
#define FANFARE_GO_NATIVE_H

#include <errno.h>
#include <fanfare.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

// A string that is there, also if it is empty: Go's empty string may have no pointer.
static inline fanfare_text fanfare_go_text(_GoString_ given)
{
	size_t length = _GoStringLen(given);

	return length == 0 ? FANFARE_TEXT("") : fanfare_text_of(_GoStringPtr(given), length);
}

// A string that is not there if it is empty.
static inline fanfare_text fanfare_go_field(_GoString_ given)
{
	size_t length = _GoStringLen(given);

	return fanfare_text_of(length == 0 ? NULL : _GoStringPtr(given), length);
}

typedef struct {
	fanfare_status status;
	fanfare_event_id id;
} fanfare_go_published;

// Publishes to a handle, or, without one, to a name.
static inline fanfare_go_published fanfare_go_publish(
	const fanfare_hub *hub, const fanfare_topic *handle, _GoString_ topic, _GoString_ data, _GoString_ name,
	_GoString_ id, _GoString_ key, _GoString_ comment, uint32_t retry_ms, uint64_t window_ms, int no_data)
{
	fanfare_go_published published;
	fanfare_event event = fanfare_event_of(fanfare_go_text(data));

	if (no_data) {
		event.data = fanfare_text_of(NULL, 0);
	}
	event.name = fanfare_go_field(name);
	event.id = fanfare_go_field(id);
	event.key = fanfare_go_field(key);
	event.comment = fanfare_go_field(comment);
	event.retry_ms = retry_ms;
	event.window_ms = window_ms;
	published.id.length = 0;
	if (handle != NULL) {
		published.status = fanfare_hub_publish_to(hub, handle, &event, &published.id);
	} else {
		published.status = fanfare_hub_publish(hub, fanfare_go_text(topic), &event, &published.id);
	}
	return published;
}

// One event of a batch. Its texts stand one behind the other in the batch's bytes: the names of its topics, each
// behind its length as an uint32_t, then data, name, id, key and comment.
typedef struct {
	uint64_t data;
	uint64_t window_ms;
	uintptr_t handle;
	uint32_t topics;
	uint32_t name;
	uint32_t id;
	uint32_t key;
	uint32_t comment;
	uint32_t retry_ms;
	uint32_t no_data;
	uint32_t unused;
} fanfare_go_item;

enum { FANFARE_GO_PART = 64, FANFARE_GO_TOPICS = 256 };

typedef struct {
	fanfare_status status;
	size_t count;
} fanfare_go_counted;

static inline fanfare_text fanfare_go_cut(const char **bytes, size_t length)
{
	fanfare_text text = fanfare_text_of(length == 0 ? NULL : *bytes, length);

	*bytes += length;
	return text;
}

// Publishes the events of a batch in parts, of which each is put together on C's stack.
static inline fanfare_go_counted fanfare_go_publish_many(
	const fanfare_hub *hub, const fanfare_go_item *items, size_t items_count, const char *bytes, fanfare_event_id *ids,
	uint64_t timeout_ms)
{
	fanfare_publication publications[FANFARE_GO_PART];
	fanfare_event events[FANFARE_GO_PART];
	fanfare_text topics[FANFARE_GO_TOPICS];
	const fanfare_topic *handles[FANFARE_GO_PART];
	fanfare_go_counted done = {FANFARE_OK, 0};

	while (done.count < items_count && done.status == FANFARE_OK) {
		size_t part = 0, names = 0, count = 0;

		while (part < FANFARE_GO_PART && done.count + part < items_count) {
			const fanfare_go_item *item = &items[done.count + part];
			fanfare_publication *publication = &publications[part];
			fanfare_event *event = &events[part];
			uint32_t i;

			if (names + item->topics > FANFARE_GO_TOPICS) {
				break;
			}
			memset(publication, 0, sizeof *publication);
			publication->topics = &topics[names];
			publication->topics_count = item->topics;
			for (i = 0; i < item->topics; i++) {
				uint32_t length;

				memcpy(&length, bytes, sizeof length);
				bytes += sizeof length;
				topics[names] = length == 0 ? FANFARE_TEXT("") : fanfare_text_of(bytes, length);
				bytes += length;
				names++;
			}
			handles[part] = (const fanfare_topic *)item->handle;
			publication->handles = &handles[part];
			publication->handles_count = item->handle != 0;
			memset(event, 0, sizeof *event);
			event->size = sizeof *event;
			event->data = fanfare_go_cut(&bytes, item->data);
			if (item->data == 0 && !item->no_data) {
				event->data = FANFARE_TEXT("");
			}
			event->name = fanfare_go_cut(&bytes, item->name);
			event->id = fanfare_go_cut(&bytes, item->id);
			event->key = fanfare_go_cut(&bytes, item->key);
			event->comment = fanfare_go_cut(&bytes, item->comment);
			event->retry_ms = item->retry_ms;
			event->window_ms = item->window_ms;
			publication->event = event;
			part++;
		}
		done.status = fanfare_hub_publish_many(hub, publications, part, timeout_ms, ids + done.count, &count);
		done.count += count;
	}
	return done;
}

static inline fanfare_go_published fanfare_go_finish(
	const fanfare_hub *hub, const fanfare_topic *handle, _GoString_ topic, const fanfare_event *last,
	uint64_t timeout_ms)
{
	fanfare_go_published published;

	published.id.length = 0;
	if (handle != NULL) {
		published.status = fanfare_hub_finish_topic(hub, handle, last, timeout_ms, &published.id);
	} else {
		published.status = fanfare_hub_finish(hub, fanfare_go_text(topic), last, timeout_ms, &published.id);
	}
	return published;
}

typedef struct {
	fanfare_status status;
	fanfare_text text;
} fanfare_go_batch;

static inline fanfare_go_batch fanfare_go_stream_next(const fanfare_stream *stream)
{
	fanfare_go_batch batch = {FANFARE_OK, {NULL, 0}};

	batch.status = fanfare_stream_next(stream, 0, &batch.text);
	return batch;
}

// A duplicate that no program which is executed gets, or -1.
static inline int fanfare_go_duplicate(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

// What the library needs for an event, without Go.
static inline fanfare_status fanfare_go_publish_in_c(
	const fanfare_hub *hub, const fanfare_topic *handle, _GoString_ data, _GoString_ name, int times)
{
	fanfare_status status = FANFARE_OK;

	while (times-- > 0 && status == FANFARE_OK) {
		fanfare_event event = fanfare_event_of(fanfare_go_text(data));
		fanfare_event_id id;

		event.name = fanfare_go_field(name);
		status = fanfare_hub_publish_to(hub, handle, &event, &id);
	}
	return status;
}

// What a call of C costs that does nothing.
static inline void fanfare_go_nothing(const fanfare_hub *hub)
{
	(void)hub;
}

#endif
