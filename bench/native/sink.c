/*
 * A server that the event log is compared with: it sends lines to every subscriber of a Unix socket.
 *
 *   sink line  EVENTS CONTROL   a bounded queue per subscriber, one non-blocking write for each line
 *   sink chunk EVENTS CONTROL   one shared buffer, writes of up to 64 KiB: the limit of what a core can do
 *
 * A request on the control socket is a u32 N (little endian). 0 requests one byte in return as soon as all earlier
 * connections are registered; any other N requests a burst of N lines.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_BYTES = 231, QUEUE_LINES = 16384, CHUNK_BYTES = 64 * 1024, MAX_FDS = 65536, EVENTS_A_TURN = 512 };

struct line {
  int references;
  char bytes[LINE_BYTES];
};

struct subscriber {
  int fd, index, wants_out;
  /* line: queued lines, and how many bytes of the first are written */
  struct line **queue;
  int head, tail, written;
  /* chunk: position in the shared buffer */
  size_t offset;
};

static struct subscriber *by_fd[MAX_FDS], *subscribers[MAX_FDS];
static int subscriber_count, epoll_fd, chunked;
static char *shared, sample[LINE_BYTES];
static size_t shared_bytes;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int fd, uint32_t events, int operation) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(epoll_fd, operation, fd, &event) < 0) die("epoll_ctl");
}

static void release(struct line *line) {
  if (--line->references == 0) free(line);
}

static void drop(struct subscriber *s) {
  while (s->head < s->tail) release(s->queue[s->head++]);
  subscribers[s->index] = subscribers[--subscriber_count];
  subscribers[s->index]->index = s->index;
  by_fd[s->fd] = NULL;
  close(s->fd);
  free(s->queue);
  free(s);
}

static void want_out(struct subscriber *s, int wanted) {
  if (s->wants_out == wanted) return;
  s->wants_out = wanted;
  watch(s->fd, EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0), EPOLL_CTL_MOD);
}

/* Writes queued lines until none is left or the socket is full. */
static void pump(struct subscriber *s) {
  for (;;) {
    const char *from;
    size_t count;
    if (chunked) {
      from = shared + s->offset;
      count = shared_bytes - s->offset;
      if (count > CHUNK_BYTES) count = CHUNK_BYTES;
      if (count == 0) break;
    } else {
      if (s->head == s->tail) break;
      from = s->queue[s->head]->bytes + s->written;
      count = LINE_BYTES - s->written;
    }
    ssize_t written = write(s->fd, from, count);
    if (written < 0) {
      if (errno == EAGAIN) return want_out(s, 1);
      return drop(s);
    }
    if (chunked) {
      s->offset += written;
    } else if ((s->written += written) == LINE_BYTES) {
      release(s->queue[s->head++]);
      s->written = 0;
    }
  }
  s->head = s->tail = 0;
  want_out(s, 0);
}

static void publish_line(void) {
  struct line *line = malloc(sizeof *line);
  memcpy(line->bytes, sample, LINE_BYTES);
  line->references = 1;
  for (int i = subscriber_count - 1; i >= 0; i--) {
    struct subscriber *s = subscribers[i];
    if (s->tail == QUEUE_LINES) {
      drop(s); /* its queue is full: too slow */
      continue;
    }
    s->queue[s->tail++] = line;
    line->references++;
    if (!s->wants_out) pump(s);
  }
  release(line);
}

static void publish_chunks(uint32_t lines) {
  shared_bytes = 0;
  for (uint32_t n = 0; n < lines; n++, shared_bytes += LINE_BYTES) memcpy(shared + shared_bytes, sample, LINE_BYTES);
  for (int i = subscriber_count - 1; i >= 0; i--) {
    subscribers[i]->offset = 0;
    pump(subscribers[i]);
  }
}

static void accept_all(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    struct subscriber *s = calloc(1, sizeof *s);
    s->fd = fd;
    s->index = subscriber_count;
    if (!chunked) s->queue = malloc(QUEUE_LINES * sizeof *s->queue);
    s->offset = shared_bytes;
    subscribers[subscriber_count++] = by_fd[fd] = s;
    watch(fd, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
  }
}

static void handle_input(struct subscriber *s) {
  char discarded[4096];
  ssize_t count = read(s->fd, discarded, sizeof discarded);
  if (count == 0 || (count < 0 && errno != EAGAIN)) drop(s);
}

static int listen_on(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1024) < 0) die(path);
  watch(fd, EPOLLIN, EPOLL_CTL_ADD);
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  signal(SIGPIPE, SIG_IGN);
  chunked = strcmp(argv[1], "chunk") == 0;
  memset(sample, 'x', LINE_BYTES - 1);
  sample[LINE_BYTES - 1] = '\n';
  shared = malloc((size_t)QUEUE_LINES * LINE_BYTES);
  epoll_fd = epoll_create1(0);
  int listener = listen_on(argv[2]), control_listener = listen_on(argv[3]), control = -1;
  puts("ready");
  fflush(stdout);
  struct epoll_event events[EVENTS_A_TURN];
  for (;;) {
    int count = epoll_wait(epoll_fd, events, EVENTS_A_TURN, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(listener);
      } else if (fd == control_listener) {
        if (control >= 0) close(control);
        control = accept4(control_listener, NULL, NULL, 0);
        watch(control, EPOLLIN, EPOLL_CTL_ADD);
      } else if (fd == control) {
        uint32_t lines;
        if (read(control, &lines, sizeof lines) != sizeof lines) {
          close(control);
          control = -1;
          continue;
        }
        accept_all(listener);
        if (lines == 0) {
          if (write(control, "", 1) != 1) die("control");
        } else if (chunked) {
          publish_chunks(lines);
        } else {
          while (lines-- > 0) publish_line();
        }
      } else if (by_fd[fd] != NULL) {
        if (events[i].events & EPOLLOUT) pump(by_fd[fd]);
        if (by_fd[fd] != NULL && (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) handle_input(by_fd[fd]);
      }
    }
  }
}
