#define _GNU_SOURCE
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX 8192
#define SMALL_BUFFER_BYTES 32768
/* As the clients do (sdk/backoff.ts): drawn anew each time, below a bound that grows. */
#define PAUSE_MS 500.0
#define PAUSE_FACTOR 1.6
#define PAUSE_MAX_MS 20000.0

static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static void wait_before_connect(struct socket *socket) {
  double ceiling = PAUSE_MS;
  for (int n = 0; n < socket->attempts && ceiling < PAUSE_MAX_MS; n++) ceiling *= PAUSE_FACTOR;
  if (ceiling > PAUSE_MAX_MS) ceiling = PAUSE_MAX_MS;
  socket->attempts++;
  socket->due_ns = now_ns() + (uint64_t)(ceiling * 1e6 * drand48());
  socket->state = WAITING;
}

static bool is_underway(const struct socket *socket) {
  return socket->state == CONNECTING || socket->state == SHAKING || socket->state == STARTING;
}

/* The connection is over; `reset` cuts it off instead of closing it. */
void lost(struct socket *socket, bool reset) {
  if (socket->fd < 0) return;
  if (socket->state == OPEN) open_count--, totals.closes++;
  else if (is_underway(socket)) underway_count--, totals.failures++;
  if (reset) {
    struct linger linger = {1, 0};
    setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  }
  close(socket->fd);
  socket->fd = -1;
  socket->carry_length = 0;
  socket->ready_ns = socket->caught_ns = 0;
  if (options.reconnect) wait_before_connect(socket);
  else socket->state = DEAD;
}

void become_open(struct socket *socket) {
  underway_count--;
  open_count++;
  socket->state = OPEN;
  socket->attempts = 0;
  socket->ready_ns = socket->caught_ns = now_ns();
}

/* Source addresses 127.0.0.1, 127.0.0.2, …: one address has few ports, and a server counts connections by address. */
static void bind_address(int fd, uint32_t index) {
  if (options.per_address <= 0) return;
  int on = 1;
  // The port is chosen when it is known where to: then only the pair must be free.
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / (uint32_t)options.per_address);
  bind(fd, (struct sockaddr *)&from, sizeof from);
}

void begin_connect(struct socket *sock) {
  int on = 1, small = SMALL_BUFFER_BYTES;
  sock->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (sock->fd < 0) {
    perror("socket");
    exit(1);
  }
  totals.connects++;
  setsockopt(sock->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (sock->index < (uint32_t)options.small) setsockopt(sock->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  bind_address(sock->fd, sock->index);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sock->state = CONNECTING;
  underway_count++;
  if (connect(sock->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) return lost(sock, false);
  watch(sock, EPOLLOUT, true);
}

/* What is sent is little: a socket whose buffer has no room for it is as good as lost. */
static void send_all(struct socket *socket, const void *data, size_t length) {
  if (send(socket->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) lost(socket, true);
}

void send_frame(struct socket *socket, int opcode, const char *payload, size_t length) {
  unsigned char frame[TEXT_MAX + 8];
  if (length > TEXT_MAX || socket->fd < 0) return;
  size_t at = 2;
  frame[0] = (unsigned char)(0x80 | opcode);
  frame[1] = (unsigned char)(0x80 | (length < 126 ? length : 126));
  if (length >= 126) frame[at++] = (unsigned char)(length >> 8), frame[at++] = (unsigned char)length;
  memcpy(frame + at, mask, 4);
  at += 4;
  for (size_t i = 0; i < length; i++) frame[at + i] = (unsigned char)payload[i] ^ mask[i % 4];
  send_all(socket, frame, at + length);
}

void on_writable(struct socket *sock) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return lost(sock, false);
  char request[TEXT_MAX];
  const char *name = options.subprotocol;
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
                        sock->path, options.port, name[0] ? "Sec-WebSocket-Protocol: " : "", name, name[0] ? "\r\n" : "");
  sock->state = SHAKING;
  watch(sock, EPOLLIN, false);
  send_all(sock, request, (size_t)length);
}

/* What a client says that was here before: from where on it wants to hear. */
static void send_resume(struct socket *socket) {
  char text[512];
  int length = snprintf(text, sizeof text, "{\"type\":\"resume\",\"id\":1,\"positions\":{\"%s\":\"%s\"}}", socket->topic,
                        socket->position);
  send_frame(socket, 1, text, (size_t)length);
}

/* Answers how many bytes the answer's head has; 0 while it is not all there. */
size_t read_handshake(struct socket *socket, const unsigned char *data, size_t length) {
  const unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  if (length < 12 || memcmp(data + 9, "101", 3) != 0) {
    unsigned code = (unsigned)atoi((const char *)data + 9);
    if (code < 1000) totals.codes[code]++;
    lost(socket, false);
    return 0;
  }
  socket->state = STARTING;
  if (socket->position[0] != 0) send_resume(socket);
  else if (socket->first[0] != 0) send_frame(socket, 1, socket->first, strlen(socket->first));
  if (socket->fd >= 0 && options.ready[0] == 0) become_open(socket);
  return (size_t)(end + 4 - data);
}

void stall(struct socket *socket, bool stalled) {
  socket->stalled = stalled;
  if (socket->fd >= 0 && socket->state == OPEN) watch(socket, stalled ? 0 : EPOLLIN, false);
}
