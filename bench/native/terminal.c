/*
 * terminal PROGRAM [ARGUMENT ...]
 *
 * Runs the program in a pseudo-terminal of its own, reads all of its output, and executes the commands on stdin:
 *
 *   settle      presses a key until there is output, and waits until there is no more; prints "settled"
 *   keys COUNT  presses COUNT keys, each after the echo of the one before; prints the nanoseconds of each
 *   take BYTES  presses return; prints the nanoseconds until there were BYTES bytes of output
 *   return      presses return; prints "pressed"
 *
 * It ends, and closes the terminal, when stdin ends; or with status 1 when the program ends before that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pty.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 200, QUIET_MS = 500, LOST_MS = 60000 };

static int terminal;
static char shown[65536];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void press(char key) {
  if (write(terminal, &key, 1) != 1) die("write");
}

/* Returns how many bytes of output were read within that many milliseconds. */
static size_t take(int within_ms) {
  struct pollfd fd = {.fd = terminal, .events = POLLIN};
  int ready = poll(&fd, 1, within_ms);
  if (ready < 0) die("poll");
  if (ready == 0) return 0;
  ssize_t count = read(terminal, shown, sizeof shown);
  if (count <= 0) die("the program at the terminal has ended");
  return count;
}

static size_t must_take(void) {
  size_t count = take(LOST_MS);
  if (count == 0) {
    fprintf(stderr, "nothing came for %d s\n", LOST_MS / 1000);
    exit(1);
  }
  return count;
}

static void settle(void) {
  do press('k');
  while (take(RETRY_MS) == 0);
  while (take(QUIET_MS) > 0);
  puts("settled");
}

static void time_keys(int count) {
  for (int n = 0; n < count; n++) {
    uint64_t begin = now_ns();
    press('k');
    must_take();
    printf(n == 0 ? "%" PRIu64 : " %" PRIu64, now_ns() - begin);
  }
  puts("");
}

static void time_bytes(uint64_t bytes) {
  uint64_t begin = now_ns(), taken = 0;
  press('\n');
  while (taken < bytes) taken += must_take();
  printf("%" PRIu64 "\n", now_ns() - begin);
}

static void obey(const char *line) {
  if (strcmp(line, "settle\n") == 0) {
    settle();
  } else if (strncmp(line, "keys ", 5) == 0) {
    time_keys(atoi(line + 5));
  } else if (strncmp(line, "take ", 5) == 0) {
    time_bytes(strtoull(line + 5, NULL, 10));
  } else if (strcmp(line, "return\n") == 0) {
    press('\n');
    puts("pressed");
  } else {
    fprintf(stderr, "cannot do: %s", line);
    exit(2);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  struct winsize size = {.ws_col = 80, .ws_row = 24};
  pid_t child = forkpty(&terminal, NULL, NULL, &size);
  if (child < 0) die("forkpty");
  if (child == 0) {
    execvp(argv[1], argv + 1);
    die(argv[1]);
  }
  /* Not read by stdio, because poll would not see what is in the buffer of stdio. */
  char line[64];
  size_t length = 0;
  struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = terminal, .events = POLLIN}};
  while (1) {
    if (poll(fds, 2, -1) < 0) die("poll");
    if (fds[1].revents) take(0);
    if (!fds[0].revents) continue;
    if (length == sizeof line - 1 || read(STDIN_FILENO, line + length, 1) <= 0) return 0;
    if (line[length++] != '\n') continue;
    line[length] = '\0';
    length = 0;
    obey(line);
  }
}
