// A client that passes what it reads to a port of 127.0.0.1, in TLS by OpenSSL, and writes what
// comes back.
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	int fd = socket(AF_INET, SOCK_STREAM, 0), n;
	char buf[16384];
	SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
		return 1;
	for (;;) {
		struct pollfd fds[] = {{0, POLLIN, 0}, {fd, POLLIN, 0}};
		if (SSL_pending(ssl) > 0)
			fds[1].revents = POLLIN;
		else
			poll(fds, 2, -1);
		if (fds[0].revents && ((n = read(0, buf, sizeof buf)) <= 0 || SSL_write(ssl, buf, n) != n))
			return 0;
		if (fds[1].revents && ((n = SSL_read(ssl, buf, sizeof buf)) <= 0 || write(1, buf, n) != n))
			return 0;
	}
}
