#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES (512 * 1024)
/* A frame that has come in part is put in front of what is read next. */
#define BUFFER_BYTES (READ_BYTES + 4 * 1024 * 1024)

static unsigned char buffer[BUFFER_BYTES + 1];

static void keep_rest(struct socket *socket, const unsigned char *rest, size_t length) {
  if (length > socket->carry_capacity) {
    socket->carry_capacity = length + 512;
    free(socket->carry);
    socket->carry = malloc(socket->carry_capacity);
  }
  if (length > 0) memcpy(socket->carry, rest, length);
  socket->carry_length = length;
}

static void take_frame(struct socket *socket, int opcode, const unsigned char *payload, size_t length, uint64_t now) {
  if (opcode == 1) return take_text(socket, (const char *)payload, length, now);
  if (opcode == 9) return send_frame(socket, 10, (const char *)payload, length);
  if (opcode == 8) {
    unsigned code = length >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 1005;
    if (code < CODES_MAX) totals.codes[code]++;
  }
}

/* Takes whole frames and answers how many bytes they had. Servers do not mask, and ours do not fragment. */
static size_t take_frames(struct socket *socket, const unsigned char *data, size_t length, uint64_t now) {
  size_t at = 0;
  while (length - at >= 2 && socket->fd >= 0) {
    size_t header = 2;
    uint64_t size = data[at + 1] & 0x7f;
    if (size == 126) {
      if (length - at < 4) break;
      size = (uint64_t)data[at + 2] << 8 | data[at + 3];
      header = 4;
    } else if (size == 127) {
      if (length - at < 10) break;
      size = 0;
      for (int i = 0; i < 8; i++) size = size << 8 | data[at + 2 + (size_t)i];
      header = 10;
    }
    if (length - at - header < size) break;
    take_frame(socket, data[at] & 0x0f, data + at + header, size, now);
    at += header + size;
  }
  return at;
}

void on_readable(struct socket *socket) {
  size_t kept = socket->carry_length;
  if (kept > BUFFER_BYTES - READ_BYTES) return lost(socket, true);
  if (kept > 0) memcpy(buffer, socket->carry, kept);
  ssize_t got = recv(socket->fd, buffer + kept, READ_BYTES, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return lost(socket, false);
  measured.reads++;
  measured.bytes += (uint64_t)got;
  size_t length = kept + (size_t)got, at = 0;
  buffer[length] = 0;
  if (socket->state == SHAKING) {
    at = read_handshake(socket, buffer, length);
    if (socket->fd < 0) return;
  }
  if (socket->state != SHAKING) at += take_frames(socket, buffer + at, length - at, now_ns());
  if (socket->fd >= 0) keep_rest(socket, buffer + at, length - at);
}
