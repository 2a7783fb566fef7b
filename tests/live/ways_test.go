package live

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// way is a way to move all of a buffer to or from a stream.
type way struct {
	name string
	move func(fd int, b []byte) (int, error)
	// hides is set if the system call does not get the address of the bytes, so that only
	// their number is known. Then another call transfers the header.
	hides bool
}

// manyMessages calls sendmmsg or recvmmsg with two messages.
func manyMessages(nr uintptr) func(fd int, b []byte) (int, error) {
	type mmsghdr struct {
		unix.Msghdr
		n uint32
		_ uint32
	}
	return func(fd int, b []byte) (int, error) {
		at := len(b) / 3
		list := make([]mmsghdr, 2)
		for i, part := range [][]byte{b[:at], b[at:]} {
			iov := &unix.Iovec{Base: &part[0]}
			iov.SetLen(len(part))
			list[i].Iov = iov
			list[i].SetIovlen(1)
		}
		k, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), unix.MSG_WAITALL, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		n := 0
		for _, m := range list[:k] {
			n += int(m.n)
		}
		return n, nil
	}
}

// iovecs calls writev or the like with two pieces, and with the offset -1 if the call has one.
func iovecs(nr uintptr) func(fd int, b []byte) (int, error) {
	return func(fd int, b []byte) (int, error) {
		var iov [2]unix.Iovec
		at := len(b) / 2
		iov[0].Base, iov[1].Base = &b[0], &b[at]
		iov[0].SetLen(at)
		iov[1].SetLen(len(b) - at)
		n, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), 2, ^uintptr(0), ^uintptr(0), 0)
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

// fromFile sends a file with sendfile.
func fromFile(fd int, b []byte) (int, error) {
	mem, err := unix.MemfdCreate("gt", 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(mem)
	if _, err := unix.Write(mem, b); err != nil {
		return 0, err
	}
	off := int64(0)
	return unix.Sendfile(fd, mem, &off, len(b))
}

// throughPipe moves bytes through a pipe with splice.
func throughPipe(out bool) func(fd int, b []byte) (int, error) {
	return func(fd int, b []byte) (int, error) {
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			return 0, err
		}
		defer unix.Close(p[0])
		defer unix.Close(p[1])
		if !out {
			n, err := unix.Splice(fd, nil, p[1], nil, len(b), 0)
			return int(n), err
		}
		if _, err := unix.Write(p[1], b); err != nil {
			return 0, err
		}
		n, err := unix.Splice(p[0], nil, fd, nil, len(b), 0)
		return int(n), err
	}
}

// sending and receiving are the ways that are seen. Those of io_uring are not.
var (
	sending = []way{
		{"write", unix.Write, false},
		{"sendto", func(fd int, b []byte) (int, error) { return unix.SendmsgN(fd, b, nil, nil, 0) }, false},
		{"sendmsg", func(fd int, b []byte) (int, error) {
			return unix.SendmsgBuffers(fd, [][]byte{b[:7], b[7:]}, nil, nil, 0)
		}, false},
		{"writev", iovecs(unix.SYS_WRITEV), false}, {"pwritev2", iovecs(unix.SYS_PWRITEV2), false}, {"sendmmsg", manyMessages(unix.SYS_SENDMMSG), false},
		{"sendfile", fromFile, true}, {"splice", throughPipe(true), true},
	}
	receiving = []way{
		{"read", unix.Read, false},
		{"recvfrom", func(fd int, b []byte) (int, error) { n, _, err := unix.Recvfrom(fd, b, 0); return n, err }, false},
		{"recvmsg", func(fd int, b []byte) (int, error) {
			n, _, _, _, err := unix.RecvmsgBuffers(fd, [][]byte{b[:7], b[7:]}, nil, 0)
			return n, err
		}, false},
		{"readv", iovecs(unix.SYS_READV), false}, {"preadv2", iovecs(unix.SYS_PREADV2), false}, {"recvmmsg", manyMessages(unix.SYS_RECVMMSG), false},
		{"splice", throughPipe(false), true},
	}
)

// TestWays moves requests and answers by each system call that can send or receive on a stream.
func TestWays(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	s := ownRequests(t, "http")
	want := map[string]string{}
	n := 0
	for _, network := range []string{"tcp4", "unix"} {
		ln := listenOn(t, network)
		defer ln.Close()
		talk := func(out, in way) {
			client, server := connect(t, ln)
			defer unix.Close(client)
			defer unix.Close(server)
			n++
			path := fmt.Sprintf("/%s-%s-%s-%d", network, out.name, in.name, n)
			pass := func(from, to int, text string, out, in way) {
				t.Helper()
				if k, err := out.move(from, []byte(text)); err != nil || k != len(text) {
					t.Fatalf("%s: %d of %d bytes sent: %v", path, k, len(text), err)
				}
				for b := make([]byte, len(text)); len(b) > 0; {
					k, err := in.move(to, b)
					if err != nil || k == 0 {
						t.Fatalf("%s: %d bytes received: %v", path, k, err)
					}
					b = b[k:]
					if len(b) < 8 {
						in = receiving[0]
					}
				}
			}
			var first [2]way // for what has to be known
			for i, w := range []way{out, in} {
				if first[i] = w; w.hides {
					first[i] = [...]way{sending[0], receiving[0]}[i]
				}
			}
			body := strings.Repeat("x", 3000)
			ask := "POST " + path + " HTTP/1.1\r\nContent-Length: 3000\r\n\r\n"
			head := "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"
			for range 2 {
				pass(client, server, ask, first[0], first[1])
				pass(client, server, body, out, in)
				pass(server, client, head, first[0], first[1])
				pass(server, client, body, out, in)
			}
			for _, side := range []string{"true", "false"} {
				want[side+" "+path] = fmt.Sprintf("2 of 200 %d %d true", len(ask+body), len(head+body))
			}
		}
		for _, w := range sending {
			talk(w, receiving[0])
		}
		for _, w := range receiving {
			talk(sending[0], w)
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 || strings.Contains(r.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	got, times := map[string]string{}, map[string]int{}
	for line := range strings.Lines(r.stdout) {
		var q map[string]any
		if json.Unmarshal([]byte(line), &q) != nil || q["path"] == nil {
			continue
		}
		key := fmt.Sprint(q["server"], " ", q["path"])
		times[key]++
		got[key] = fmt.Sprintf("%d of %v %v %v %v", times[key], q["status"], q["req_bytes"], q["resp_bytes"], q["complete"])
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s: %q, want %q", key, got[key], w)
		}
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
}
