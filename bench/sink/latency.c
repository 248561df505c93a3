#include "sink.h"

#include <string.h>

/* Microseconds in buckets that grow by 1/64: fine enough for every figure, and a constant amount of memory. */
#define FINE 64
#define BUCKETS (FINE * 40)

static uint64_t counts[BUCKETS];

static unsigned bucket_of(uint64_t us) {
  if (us < FINE) return (unsigned)us;
  unsigned shift = 63 - (unsigned)__builtin_clzll(us) - 6;
  unsigned bucket = (shift + 1) * FINE + (unsigned)((us >> shift) - FINE);
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double middle_of(unsigned bucket) {
  if (bucket < FINE) return bucket + 0.5;
  unsigned shift = bucket / FINE - 1;
  return (double)((uint64_t)(bucket % FINE + FINE) << shift) + (double)(1ull << shift) / 2;
}

void note_latency(uint64_t ns) {
  uint64_t us = ns / 1000;
  counts[bucket_of(us)]++;
  measured.samples++;
  if (us > measured.max_us) measured.max_us = us;
}

void reset_latencies(void) { memset(counts, 0, sizeof counts); }

double latency_ms(double share) {
  if (measured.samples == 0) return -1;
  uint64_t wanted = (uint64_t)(share * (double)(measured.samples - 1)), passed = 0;
  for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
    passed += counts[bucket];
    if (passed > wanted) return middle_of(bucket) / 1000;
  }
  return (double)measured.max_us / 1000;
}
