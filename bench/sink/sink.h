/* The receiving side of the benches: many WebSockets that read, count, and check what they get. See main.c. */
#ifndef SINK_H
#define SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POSITION_MAX 48
/* Sequence numbers behind the newest one for which a late arrival is told from a repetition. */
#define SEEN_WINDOW 4096
#define CODES_MAX 8192

enum state { IDLE, WAITING, CONNECTING, SHAKING, STARTING, OPEN, DEAD };

struct socket {
  int fd;
  enum state state;
  uint32_t index;
  uint32_t attempts;    /* to connect, since it was open last */
  uint64_t due_ns;      /* when a WAITING one tries again */
  bool stalled;         /* it does not read */
  bool rebase;          /* it was told that it missed something: the next number counts as the first */
  unsigned char *carry; /* the part of a frame that has come */
  size_t carry_length, carry_capacity;
  const char *path, *first, *topic;
  long key; /* of the markers that it may get; -1 for any */
  char position[POSITION_MAX];
  uint64_t last, missing;
  uint64_t *seen;
  uint64_t ready_ns, caught_ns;
};

struct options {
  int port, addresses, per_address, sample, small;
  const char *subprotocol, *counted, *ready;
  bool check, reconnect;
};

struct measured {
  uint64_t messages, bytes, other, reads;
  uint64_t samples, max_us;
};

struct totals {
  uint64_t duplicates, disordered, skipped, limited, stray, refused, connects, failures, closes;
  uint32_t codes[CODES_MAX];
};

extern struct options options;
extern struct measured measured;
extern struct totals totals;
extern struct socket *sockets;
extern uint32_t socket_count;
extern uint32_t open_count, underway_count;

uint64_t now_ns(void);

/* connect.c */
void begin_connect(struct socket *socket);
void on_writable(struct socket *socket);
size_t read_handshake(struct socket *socket, const unsigned char *data, size_t length);
void become_open(struct socket *socket);
void lost(struct socket *socket, bool reset);
void send_frame(struct socket *socket, int opcode, const char *payload, size_t length);
void stall(struct socket *socket, bool stalled);

/* read.c */
void on_readable(struct socket *socket);

/* message.c */
bool is_sampled(const struct socket *socket);
void take_text(struct socket *socket, const char *text, size_t length, uint64_t now);

/* latency.c */
void note_latency(uint64_t ns);
void reset_latencies(void);
double latency_ms(double share);

/* main.c */
void watch(struct socket *socket, uint32_t events, bool add);

#endif
