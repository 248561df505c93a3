/*
 * Opens many WebSockets to one server on this machine and reads all that comes: counts it, takes the latency of marked
 * messages, and checks their order. Commands come on standard input, one a line, and each is answered by one line of
 * JSON. `sink.ts` beside it builds, starts and drives it.
 *
 * The file of sockets has a line for each: path, first text, topic, key of its markers; separated by tabs.
 */
#define _GNU_SOURCE
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 1024
#define TICK_MS 2
#define LOOK_NS 2000000

struct options options = {.sample = 1, .subprotocol = "", .counted = "", .ready = ""};
struct measured measured;
struct totals totals;
struct socket *sockets;
uint32_t socket_count, open_count, underway_count;

static int epoll;
static uint32_t wanted, begun, underway_max = 200;
static bool opening;
static uint64_t opening_since, measuring_since, storm_since;
static double cpu_before;

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

void watch(struct socket *socket, uint32_t events, bool add) {
  struct epoll_event event = {.events = events, .data.ptr = socket};
  if (socket->fd >= 0) epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket->fd, &event);
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double seconds_since(uint64_t then) { return (double)(now_ns() - then) / 1e9; }

static void load_sockets(const char *file) {
  char *line = NULL;
  size_t capacity = 0;
  FILE *stream = fopen(file, "r");
  if (stream == NULL) {
    perror(file);
    exit(1);
  }
  for (ssize_t length; (length = getline(&line, &capacity, stream)) > 0;) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if (socket_count % 1024 == 0) sockets = realloc(sockets, (socket_count + 1024) * sizeof *sockets);
    struct socket *socket = &sockets[socket_count];
    memset(socket, 0, sizeof *socket);
    char *rest = strdup(line);
    socket->fd = -1;
    socket->index = socket_count++;
    socket->path = strsep(&rest, "\t");
    socket->first = strsep(&rest, "\t");
    socket->topic = strsep(&rest, "\t");
    socket->key = rest == NULL ? -1 : atol(rest);
    if (options.check) socket->seen = calloc(SEEN_WINDOW / 64, sizeof *socket->seen);
  }
  fclose(stream);
  free(line);
}

static void print_codes(void) {
  const char *comma = "";
  for (int code = 0; code < CODES_MAX; code++) {
    if (totals.codes[code] == 0) continue;
    printf("%s\"%d\":%u", comma, code, totals.codes[code]);
    comma = ",";
  }
}

static void print_state(const char *answer) {
  printf("{\"answer\":\"%s\",\"open\":%u,\"sockets\":%u,\"connects\":%lu,\"failures\":%lu,\"closes\":%lu,\"refused\":%lu,"
         "\"limited\":%lu,\"seconds\":%.3f,\"codes\":{",
         answer, open_count, wanted, totals.connects, totals.failures, totals.closes, totals.refused, totals.limited,
         seconds_since(opening_since));
  print_codes();
  printf("}}\n");
}

static void print_measured(void) {
  printf("{\"answer\":\"end\",\"seconds\":%.4f,\"messages\":%lu,\"bytes\":%lu,\"reads\":%lu,\"other\":%lu,\"samples\":%lu,"
         "\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"cpu\":%.3f}\n",
         seconds_since(measuring_since), measured.messages, measured.bytes, measured.reads, measured.other,
         measured.samples, latency_ms(0.5), latency_ms(0.99), (double)measured.max_us / 1000, cpu_seconds() - cpu_before);
}

static void begin_measuring(void) {
  memset(&measured, 0, sizeof measured);
  reset_latencies();
  measuring_since = now_ns();
  cpu_before = cpu_seconds();
  printf("{\"answer\":\"begin\"}\n");
}

/* `check KEY:LAST,KEY:LAST,…`: nothing may be missing up to the last number that was sent under each key. */
static void print_check(const char *list) {
  uint64_t *lasts = NULL, gaps = 0, behind = 0;
  long keys = 0;
  for (char *rest = (char *)list; *rest != 0 && *rest != '\n';) {
    long key = strtol(rest, &rest, 10);
    uint64_t last = strtoull(rest + 1, &rest, 10);
    if (key >= keys) {
      lasts = realloc(lasts, (size_t)(key + 1) * sizeof *lasts);
      while (keys <= key) lasts[keys++] = 0;
    }
    lasts[key] = last;
    if (*rest == ',') rest++;
  }
  for (uint32_t i = 0; i < wanted; i++) {
    const struct socket *socket = &sockets[i];
    if (!is_sampled(socket)) continue;
    gaps += socket->missing;
    if (socket->key < 0 || socket->key >= keys || socket->last >= lasts[socket->key]) continue;
    gaps += lasts[socket->key] - socket->last;
    behind++;
  }
  free(lasts);
  printf("{\"answer\":\"check\",\"gaps\":%lu,\"duplicates\":%lu,\"disordered\":%lu,\"skipped\":%lu,\"limited\":%lu,"
         "\"stray\":%lu,\"behind\":%lu}\n",
         gaps, totals.duplicates, totals.disordered, totals.skipped, totals.limited, totals.stray, behind);
}

static int by_value(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return difference < 0 ? -1 : difference > 0;
}

/* When each socket had all that was sent before it was back, in seconds after the storm began; -1 when 1 % never had. */
static void print_caught(void) {
  double *times = malloc((wanted + 1) * sizeof *times);
  uint32_t caught = 0;
  for (uint32_t i = 0; i < wanted; i++)
    if (sockets[i].state == OPEN && sockets[i].ready_ns > storm_since)
      times[caught++] = (double)(sockets[i].caught_ns - storm_since) / 1e9;
  qsort(times, caught, sizeof *times, by_value);
  uint32_t at50 = wanted / 2, at99 = (uint32_t)(0.99 * (wanted - 1));
  printf("{\"answer\":\"caught\",\"caught\":%u,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}\n", caught,
         at50 < caught ? times[at50] : -1, at99 < caught ? times[at99] : -1, caught > 0 ? times[caught - 1] : -1);
  free(times);
}

static void obey(const char *line) {
  unsigned number = 0, other = 0;
  if (sscanf(line, "open %u %u", &number, &other) == 2) {
    wanted = number < socket_count ? number : socket_count;
    underway_max = other;
    opening = true;
    opening_since = now_ns();
  } else if (strncmp(line, "begin", 5) == 0) begin_measuring();
  else if (strncmp(line, "end", 3) == 0) print_measured();
  else if (strncmp(line, "state", 5) == 0) print_state("state");
  else if (sscanf(line, "stall %u", &number) == 1) {
    for (uint32_t i = 0; i < number && i < wanted; i++) stall(&sockets[i], true);
    printf("{\"answer\":\"stall\"}\n");
  } else if (strncmp(line, "read", 4) == 0) {
    for (uint32_t i = 0; i < wanted; i++) if (sockets[i].stalled) stall(&sockets[i], false);
    printf("{\"answer\":\"read\"}\n");
  } else if (sscanf(line, "storm %u", &number) == 1) {
    storm_since = now_ns();
    for (uint32_t i = 0; number == 1 && i < wanted; i++) lost(&sockets[i], true);
    printf("{\"answer\":\"storm\"}\n");
  } else if (strncmp(line, "caught", 6) == 0) print_caught();
  else if (strncmp(line, "check ", 6) == 0) print_check(line + 6);
  else printf("{\"answer\":\"fault\",\"detail\":\"unknown command\"}\n");
  fflush(stdout);
}

/* Lines may come in parts, and `check` is a long one. The end of the input is the end of the sink. */
static void read_commands(void) {
  static char *text;
  static size_t length, capacity;
  if (capacity - length < 65536) text = realloc(text, capacity += 262144);
  ssize_t got = read(0, text + length, capacity - length - 1);
  if (got == 0) exit(0);
  if (got < 0) return;
  length += (size_t)got;
  text[length] = 0;
  for (char *end; (end = memchr(text, '\n', length)) != NULL;) {
    *end = 0;
    obey(text);
    size_t taken = (size_t)(end + 1 - text);
    memmove(text, end + 1, length - taken + 1);
    length -= taken;
  }
}

static void open_more(void) {
  if (opening) {
    while (begun < wanted && underway_count < underway_max) begin_connect(&sockets[begun++]);
    if (begun == wanted && (open_count == wanted || (underway_count == 0 && !options.reconnect))) {
      opening = false;
      print_state("open");
      fflush(stdout);
    }
  }
  // Looking through all of them after each event would cost more than the events.
  static uint64_t looked;
  uint64_t now = now_ns();
  if (!options.reconnect || now - looked < LOOK_NS) return;
  looked = now;
  for (uint32_t i = 0; i < begun; i++)
    if (sockets[i].state == WAITING && sockets[i].due_ns <= now) begin_connect(&sockets[i]);
}

static void read_arguments(int count, char **arguments) {
  for (int i = 1; i + 1 < count; i += 2) {
    const char *name = arguments[i], *value = arguments[i + 1];
    if (strcmp(name, "--port") == 0) options.port = atoi(value);
    else if (strcmp(name, "--per-address") == 0) options.per_address = atoi(value);
    else if (strcmp(name, "--sample") == 0) options.sample = atoi(value);
    else if (strcmp(name, "--small") == 0) options.small = atoi(value);
    else if (strcmp(name, "--subprotocol") == 0) options.subprotocol = value;
    else if (strcmp(name, "--counted") == 0) options.counted = value;
    else if (strcmp(name, "--ready") == 0) options.ready = value;
    else if (strcmp(name, "--check") == 0) options.check = atoi(value);
    else if (strcmp(name, "--reconnect") == 0) options.reconnect = atoi(value);
    else if (strcmp(name, "--seed") == 0) srand48(atol(value));
    else {
      fprintf(stderr, "unknown option %s\n", name);
      exit(2);
    }
  }
}

int main(int count, char **arguments) {
  read_arguments(count, arguments);
  load_sockets(arguments[count - 1]);
  epoll = epoll_create1(0);
  struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &commands);
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  static struct epoll_event events[EVENTS];
  for (;;) {
    bool busy = opening || (options.reconnect && open_count < begun);
    int ready = epoll_wait(epoll, events, EVENTS, busy ? TICK_MS : -1);
    for (int i = 0; i < ready; i++) {
      struct socket *socket = events[i].data.ptr;
      if (socket == NULL) read_commands();
      else if (socket->fd < 0) continue;
      else if (socket->state == CONNECTING) on_writable(socket);
      else on_readable(socket);
    }
    open_more();
  }
}
