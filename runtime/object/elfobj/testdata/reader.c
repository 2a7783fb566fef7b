// Loads the object file argv[1] with libbpf, attaches its programs, calls
// getpgid(1000007) argv[2] times and prints each record of the ring buffer in
// hex, a line each.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static int print_record(void *ctx, void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		printf("%02x", ((unsigned char *)data)[i]);
	puts("");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct bpf_object *obj = bpf_object__open_file(argv[1], NULL);
	if (!obj || bpf_object__load(obj)) {
		perror("load");
		return 1;
	}
	struct bpf_program *prog;
	bpf_object__for_each_program(prog, obj) {
		struct bpf_link *link = bpf_program__attach(prog);
		if (!link) {
			perror(bpf_program__name(prog));
			return 1;
		}
	}
	struct ring_buffer *rb = ring_buffer__new(
		bpf_object__find_map_fd_by_name(obj, "events"), print_record, NULL, NULL);
	if (!rb) {
		perror("ring buffer");
		return 1;
	}
	for (int i = 0; i < atoi(argv[2]); i++)
		getpgid(1000007);
	return ring_buffer__consume(rb) < 0;
}
