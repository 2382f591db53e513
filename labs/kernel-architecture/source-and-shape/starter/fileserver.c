// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * fileserver FOLDER: a file system as a program. It mounts itself at FOLDER and serves one
 * file, `data`, of 64 KiB. Each request is read from /dev/fuse and its answer written there:
 * include/uapi/linux/fuse.h. On SIGTERM it prints how many reads it has served.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_ID 2
#define SIZE 65536
#define FOREVER 1000000		/* seconds for which names and attributes are known */

static char request[1 << 20], data[SIZE];
static volatile sig_atomic_t ended;
static long served;

static void end(int number)
{
	ended = number;
}

static void answer(int fd, int error, const void *body, size_t size)
{
	const struct fuse_in_header *in = (const void *)request;
	struct fuse_out_header out = { sizeof(out) + size, -error, in->unique };
	struct iovec parts[] = { { &out, sizeof(out) }, { (void *)body, size } };

	if (writev(fd, parts, size ? 2 : 1) < 0 && errno != ENOENT)
		perror("fileserver: answer");
}

static struct fuse_attr attributes(unsigned long id)
{
	struct fuse_attr attr = { .ino = id, .nlink = 1, .blksize = 4096 };

	attr.mode = id == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0444;
	attr.size = id == FUSE_ROOT_ID ? 0 : SIZE;
	return attr;
}

static void lookup(int fd, const char *name)
{
	struct fuse_entry_out out = { .nodeid = FILE_ID, .entry_valid = FOREVER, .attr_valid = FOREVER };

	out.attr = attributes(FILE_ID);
	if (strcmp(name, "data"))
		answer(fd, ENOENT, NULL, 0);
	else
		answer(fd, 0, &out, sizeof(out));
}

static void serve(int fd)
{
	const struct fuse_in_header *in = (const void *)request;
	const void *body = in + 1;
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
				      .max_readahead = 4096, .max_write = 4096 };
	struct fuse_attr_out attr = { .attr_valid = FOREVER, .attr = attributes(in->nodeid) };
	struct fuse_open_out opened = { .fh = 1 };
	const struct fuse_read_in *wanted = body;
	size_t left;

	switch (in->opcode) {
	case FUSE_INIT:
		answer(fd, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		lookup(fd, body);
		break;
	case FUSE_GETATTR:
		answer(fd, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(fd, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		left = wanted->offset < SIZE ? SIZE - wanted->offset : 0;
		served++;
		answer(fd, 0, data + (SIZE - left), wanted->size < left ? wanted->size : left);
		break;
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		answer(fd, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;	/* nobody waits for an answer */
	default:
		answer(fd, ENOSYS, NULL, 0);
	}
}

int main(int argc, char *argv[])
{
	int fd = open("/dev/fuse", O_RDWR);
	struct sigaction action = { .sa_handler = end };
	char options[96];

	if (argc != 2 || fd < 0) {
		perror("fileserver: /dev/fuse");
		return 1;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("fileserver", argv[1], "fuse", MS_RDONLY, options)) {
		perror("fileserver: mount");
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	memset(data, 'd', SIZE);
	while (!ended)
		if (read(fd, request, sizeof(request)) > 0)
			serve(fd);
		else if (errno == ENODEV)
			break;
	printf("served %ld\n", served);
	return 0;
}
