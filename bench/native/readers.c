/*
 * readers EVENTS CONTROL SUBSCRIBERS LINES BURSTS PAUSE_MS
 *
 * Connects SUBSCRIBERS subscribers, prints "ready", and waits for a line on stdin. Then it requests one burst after another
 * (see sink.c), and prints for each the nanoseconds from the request until the last subscriber has received its last byte.
 * Between two bursts it pauses, so that the server is idle again. It ends when stdin ends, or with status 1 when a subscriber
 * was disconnected.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 231, EVENTS_A_TURN = 512 };

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die(path);
  return fd;
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  int subscribers = atoi(argv[3]), bursts = atoi(argv[5]), pause_ms = atoi(argv[6]);
  uint32_t lines = atoi(argv[4]), barrier = 0;
  int epoll_fd = epoll_create1(0);
  for (int n = 0; n < subscribers; n++) {
    int fd = connect_to(argv[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  }
  int control = connect_to(argv[2]);
  char byte;
  if (write(control, &barrier, sizeof barrier) < 0 || read(control, &byte, 1) != 1) die("control");
  puts("ready");
  fflush(stdout);
  if (getchar() == EOF) return 0;
  static char buffer[256 * 1024];
  struct epoll_event events[EVENTS_A_TURN];
  for (int burst = 0; burst < bursts; burst++) {
    uint64_t start = now_ns();
    if (write(control, &lines, sizeof lines) < 0) die("control");
    for (uint64_t due = (uint64_t)lines * LINE_BYTES * subscribers; due > 0;) {
      int count = epoll_wait(epoll_fd, events, EVENTS_A_TURN, -1);
      for (int i = 0; i < count; i++) {
        ssize_t got = recv(events[i].data.fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
          fputs("a subscriber was disconnected\n", stderr);
          return 1;
        }
        if (got > 0) due -= got;
      }
    }
    printf("%llu\n", (unsigned long long)(now_ns() - start));
    usleep(pause_ms * 1000);
  }
  puts("end");
  fflush(stdout);
  while (getchar() != EOF);
  return 0;
}
