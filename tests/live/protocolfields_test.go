package live

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// protocolScript prints the fields of requests of the process $1. $2 to $5 are the ports of the
// servers, $6 and $7 those of the servers of DNS.
const protocolScript = `
http:request /pid == $1 && (args.lport == $2 || args.rport == $2)/ { printf("http %d %s %s %s %d [%s] [%s] %d %d %d %d %d %s %d %s %d\n", args.server, args.method, args.path, args.host, args.status, between(args.text, "", "\r", 64), between(args.answer, "", "\r", 64), args.ns > 0, args.tls, args.req_bytes, args.resp_bytes, args.family, args.laddr, args.lport, args.raddr, args.rport); }
redis:command /pid == $1 && (args.lport == $3 || args.rport == $3)/ { printf("redis %d %s %d [%s] %d %d %d %d %d %s %d %s %d\n", args.server, args.cmd, args.error, between(args.text, "", "\r", 64), args.ns > 0, args.tls, args.req_bytes, args.resp_bytes, args.family, args.laddr, args.lport, args.raddr, args.rport); }
pgsql:query /pid == $1 && (args.lport == $4 || args.rport == $4)/ { printf("pgsql %d %d %d [%s] %d %d %d %d %d %s %d %s %d\n", args.server, args.cmd, args.error, args.text, args.ns > 0, args.tls, args.req_bytes, args.resp_bytes, args.family, args.laddr, args.lport, args.raddr, args.rport); }
mysql:query /pid == $1 && (args.lport == $5 || args.rport == $5)/ { printf("mysql %d %d %d %d [%s] %d %d %d %d %d %s %d %s %d\n", args.server, args.cmd, args.error, args.status, args.text, args.ns > 0, args.tls, args.req_bytes, args.resp_bytes, args.family, args.laddr, args.lport, args.raddr, args.rport); }
dns:query /pid == $1 && (args.lport == $6 || args.rport == $6 || args.lport == $7 || args.rport == $7)/ { printf("dns %d [%s] %d %d %d %d %d %d %d %s %d %s %d\n", args.server, args.name, args.type, args.rcode, args.answers, args.ns > 0, args.req_bytes, args.resp_bytes, args.family, args.laddr, args.lport, args.raddr, args.rport); }
tls:hello /pid == $1 && args.rport == $2/ { printf("tls %d %d %d %s %s\n", args.data[5], args.sock.sk_type, args.family, args.laddr, args.raddr); }
`

// TestProtocolFields compares the fields of requests, on both sides, with what was sent.
func TestProtocolFields(t *testing.T) {
	if *peer {
		t.Skip("it has no providers")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	w := &fieldWork{T: t}
	args := []string{"-q", "-p", fmt.Sprint(os.Getpid()), "-e", protocolScript, fmt.Sprint(os.Getpid())}
	var listeners []net.Listener
	for range 4 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		w.must(err)
		defer ln.Close()
		listeners = append(listeners, ln)
		args = append(args, fmt.Sprint(ln.Addr().(*net.TCPAddr).Port))
	}
	var servers []*net.UDPConn
	for _, ip := range []string{"127.0.0.1", "::1"} {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
		w.must(err)
		defer c.Close()
		servers = append(servers, c)
		args = append(args, fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port))
	}
	s := start(t, args...)
	s.attached()
	for i, x := range []struct{ ask, answer, kind, head string }{
		{"GET /a/b?c HTTP/1.1\r\nhOST:\tgt.example \r\n\r\n", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "http", "GET /a/b gt.example 404 [GET /a/b?c HTTP/1.1] [HTTP/1.1 404 No]"},
		{"*2\r\n$3\r\nget\r\n$1\r\nk\r\n", "-ERR no\r\n", "redis", "get 1 [*2]"},
		{"Q\x00\x00\x00\x0dselect 1\x00", "E\x00\x00\x00\x0cC42P01\x00\x00", "pgsql", "81 1 [select 1]"},
		{"\x09\x00\x00\x00\x03select 1", "\x07\x00\x00\x01\x00\x02\x00\x02\x00\x00\x00", "mysql", "3 0 0 [select 1]"},
		{"\x09\x00\x00\x00\x03select 2", "\x09\x00\x00\x01\xff\x7a\x04#42S02", "mysql", "3 1 1146 [select 2]"},
	} {
		client, err := net.Dial("tcp4", listeners[min(i, 3)].Addr().String())
		w.must(err)
		server, err := listeners[min(i, 3)].Accept()
		w.must(err)
		pass := func(from, to net.Conn, text string) {
			_, err := io.WriteString(from, text)
			w.must(err)
			_, err = io.ReadFull(to, make([]byte, len(text)))
			w.must(err)
		}
		pass(client, server, x.ask)
		pass(server, client, x.answer)
		from, port := client.LocalAddr().(*net.TCPAddr).Port, client.RemoteAddr().(*net.TCPAddr).Port
		w.note("%s 1 %s 1 0 %d %d 2 127.0.0.1 %d 127.0.0.1 %d", x.kind, x.head, len(x.ask), len(x.answer), port, from)
		w.note("%s 0 %s 1 0 %d %d 2 127.0.0.1 %d 127.0.0.1 %d", x.kind, x.head, len(x.ask), len(x.answer), from, port)
		if i == 0 {
			pass(client, server, "\x16\x03\x01\x00\x05\x01hello")
			w.note("tls 1 1 2 127.0.0.1 127.0.0.1")
		}
		client.Close()
		server.Close()
	}
	for i, server := range servers {
		to := server.LocalAddr().(*net.UDPAddr)
		client, err := net.ListenUDP("udp", &net.UDPAddr{IP: to.IP})
		w.must(err)
		from := client.LocalAddr().(*net.UDPAddr)
		ask := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02gt\x04test\x00\x00\x1c\x00\x01"
		answer := "\x12\x34\x81\x83\x00\x01\x00\x02" + ask[8:] + "more"
		pass := func(from, to *net.UDPConn, text string) {
			_, err := from.WriteTo([]byte(text), to.LocalAddr())
			w.must(err)
			_, _, err = to.ReadFrom(make([]byte, 100))
			w.must(err)
		}
		pass(client, server, ask)
		pass(server, client, answer)
		family := []int{2, 10}[i]
		for side := 1; side >= 0; side-- { // the server's answer is seen first
			ends := [][]*net.UDPAddr{{from, to}, {to, from}}[side]
			w.note("dns %d [\x02gt\x04test] 28 3 2 1 %d %d %d %s %d %s %d", side, len(ask), len(answer), family, ends[0].IP, ends[0].Port, ends[1].IP, ends[1].Port)
		}
		client.Close()
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	w.compare(strings.Split(strings.TrimSpace(r.stdout), "\n"))
}
