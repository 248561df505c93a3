#define _GNU_SOURCE
#include "sink.h"

#include <stdlib.h>
#include <string.h>

/* What a text message says. Nothing is parsed but what is looked for: the sink must cost less than what it measures. */

static bool begins(const char *text, size_t length, const char *prefix) {
  size_t wanted = strlen(prefix);
  return length >= wanted && memcmp(text, prefix, wanted) == 0;
}

static bool contains(const char *text, size_t length, const char *needle) {
  return memmem(text, length, needle, strlen(needle)) != NULL;
}

/* Remembers the position of an entry, which stands near its beginning. */
static void keep_position(struct socket *socket, const char *text, size_t length) {
  static const char name[] = "\"position\":\"";
  size_t head = length < 400 ? length : 400;
  const char *found = memmem(text, head, name, sizeof name - 1);
  if (found == NULL) return;
  found += sizeof name - 1;
  const char *end = memchr(found, '"', (size_t)(text + length - found));
  if (end == NULL || end - found >= POSITION_MAX) return;
  memcpy(socket->position, found, (size_t)(end - found));
  socket->position[end - found] = 0;
}

static bool was_seen(const struct socket *socket, uint64_t number) {
  if (socket->last - number >= SEEN_WINDOW) return true;
  uint64_t bit = number % SEEN_WINDOW;
  return (socket->seen[bit / 64] >> (bit % 64)) & 1;
}

static void see(struct socket *socket, uint64_t number, bool seen) {
  uint64_t bit = number % SEEN_WINDOW, mask = 1ull << (bit % 64);
  if (seen) socket->seen[bit / 64] |= mask;
  else socket->seen[bit / 64] &= ~mask;
}

/* Numbers begin at 1 and grow by 1. One that comes late fills its gap and counts as out of order. */
static void check_number(struct socket *socket, uint64_t number) {
  if (socket->rebase && number > socket->last) {
    totals.skipped += number - socket->last - 1;
    for (uint64_t skipped = socket->last + 1; skipped < number && skipped - socket->last <= SEEN_WINDOW; skipped++)
      see(socket, skipped, true);
    socket->last = number - 1;
    socket->rebase = false;
  }
  if (number > socket->last) {
    uint64_t absent = number - socket->last - 1;
    socket->missing += absent;
    for (uint64_t i = 0; i < absent && i < SEEN_WINDOW; i++) see(socket, number - 1 - i, false);
    socket->last = number;
    see(socket, number, true);
  } else if (was_seen(socket, number)) totals.duplicates++;
  else {
    totals.disordered++;
    socket->missing--;
    see(socket, number, true);
  }
}

/* ~KEY:NUMBER:NANOSECONDS~ within the message: whose it is, which one, and when it was sent. */
static void read_marker(struct socket *socket, const char *text, size_t length, uint64_t now) {
  const char *mark = memchr(text, '~', length);
  if (mark == NULL) return;
  char *rest;
  long key = strtol(mark + 1, &rest, 10);
  if (*rest != ':') return;
  uint64_t number = strtoull(rest + 1, &rest, 10);
  if (*rest != ':') return;
  uint64_t sent = strtoull(rest + 1, &rest, 10);
  if (*rest != '~') return;
  note_latency(now > sent ? now - sent : 0);
  if (socket->ready_ns > sent) socket->caught_ns = now;
  if (!options.check) return;
  if (socket->key >= 0 && key != socket->key) totals.stray++;
  else check_number(socket, number);
}

static void limited(struct socket *socket) {
  totals.limited++;
  socket->rebase = true;
}

/* Those with small buffers are looked at each: they are few, and the ones that it is about. */
bool is_sampled(const struct socket *socket) {
  return socket->index < (uint32_t)options.small || socket->index % (uint32_t)options.sample == 0;
}

void take_text(struct socket *socket, const char *text, size_t length, uint64_t now) {
  if (begins(text, length, options.counted)) {
    measured.messages++;
    if (!is_sampled(socket)) return;
    // The markers of the whole message are ASCII, and a string ends behind them: the buffer has a byte to spare.
    read_marker(socket, text, length, now);
    if (options.reconnect) keep_position(socket, text, length);
    return;
  }
  measured.other++;
  if (socket->state == STARTING && begins(text, length, options.ready)) {
    if (contains(text, length, "\"refused\":{\"")) {
      totals.refused++;
      return;
    }
    if (contains(text, length, "\"limited\":true")) limited(socket);
    if (options.reconnect && socket->position[0] == 0) keep_position(socket, text, length);
    become_open(socket);
  } else if (begins(text, length, "{\"type\":\"limited\"")) {
    limited(socket);
    if (options.reconnect) keep_position(socket, text, length);
  } else if (length == 1 && text[0] == '2') {
    // Engine.IO's own ping.
    send_frame(socket, 1, "3", 1);
  }
}
