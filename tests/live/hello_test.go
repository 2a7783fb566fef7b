package live

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// hello is a greeting of a client of TLS, with what tls:hello has to show of it.
type hello struct {
	data      []byte
	sni, alpn string
	version   uint16
}

// vector returns data with its length before it, in n bytes.
func vector(n int, data []byte) []byte {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(data)))
	return append(slices.Clone(size[8-n:]), data...)
}

// randomHello returns a greeting with extensions in any order, some of which stand for nothing.
func randomHello(r *rand.Rand, n int) *hello {
	grease := func() uint16 { return 0x0a0a + 0x1010*uint16(r.Intn(16)) }
	h := &hello{version: []uint16{0x301, 0x302, 0x303}[r.Intn(3)]}
	body := binary.BigEndian.AppendUint16(nil, h.version)
	body = append(body, make([]byte, 32)...)
	r.Read(body[2:])
	body = append(body, vector(1, filler(r, []int{0, 32}[r.Intn(2)]))...)
	body = append(body, vector(2, filler(r, 2*(1+r.Intn(60))))...)
	body = append(body, 1, 0)
	var extensions [][]byte
	add := func(kind uint16, data []byte) {
		extensions = append(extensions, append(binary.BigEndian.AppendUint16(nil, kind), vector(2, data)...))
	}
	if r.Intn(4) > 0 {
		h.sni = fmt.Sprintf("h%d.%s.example", n, strings.Repeat("x", r.Intn(40)))
		add(0, vector(2, append([]byte{0}, vector(2, []byte(h.sni))...)))
	}
	if r.Intn(2) == 0 {
		var list []byte
		for i := range 1 + r.Intn(4) {
			name := []string{"h2", "http/1.1", "http/1.0", "acme-tls/1", "x"}[r.Intn(5)]
			if i == 0 {
				h.alpn = name
			}
			list = append(list, vector(1, []byte(name))...)
		}
		add(16, vector(2, list))
	}
	if r.Intn(2) == 0 {
		var list []byte
		h.version = 0
		for range 1 + r.Intn(6) {
			v := []uint16{0x301, 0x302, 0x303, 0x304, grease()}[r.Intn(5)]
			if v>>8 == 3 {
				h.version = max(h.version, v)
			}
			list = binary.BigEndian.AppendUint16(list, v)
		}
		add(43, vector(1, list))
	}
	for range r.Intn(12) {
		kind := []uint16{10, 11, 13, 23, 35, 45, 51, 65281, grease()}[r.Intn(9)]
		add(kind, filler(r, r.Intn(80)))
	}
	r.Shuffle(len(extensions), func(i, j int) { extensions[i], extensions[j] = extensions[j], extensions[i] })
	if len(extensions) > 0 || r.Intn(2) == 0 {
		body = append(body, vector(2, slices.Concat(extensions...))...)
	}
	message := append([]byte{1}, vector(3, body)...)
	h.data = append([]byte{22, 3, byte(r.Intn(4))}, vector(2, message)...)
	return h
}

// TestHellos sends random greetings of TLS and compares what tls:hello shows on both sides. The
// server reads all at once, or the header of the record first.
func TestHellos(t *testing.T) {
	if *peer {
		t.Skip("it has no providers")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	s := start(t, "-q", "-e", `tls:hello /pid == $1/ { printf("%d [%s] %x [%s]\n", args.server, args.sni, args.version, args.alpn); }`, fmt.Sprint(os.Getpid()))
	s.attached()
	var want []string
	for seed := range *seeds {
		r := rand.New(rand.NewSource(int64(seed)))
		for n := range 300 {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			c := &conversation{t: t, r: r, client: fds[0], server: fds[1]}
			h := randomHello(r, n)
			c.send(c.client, h.data)
			buf := make([]byte, len(h.data))
			if r.Intn(2) == 0 {
				if _, err := unix.Read(c.server, buf[:5]); err != nil {
					t.Fatal(err)
				}
				buf = buf[5:]
			}
			switch r.Intn(3) {
			case 0:
				_, err = unix.Read(c.server, buf)
			case 1:
				_, err = unix.Readv(c.server, vectors(r, buf))
			case 2:
				_, _, _, _, err = unix.RecvmsgBuffers(c.server, vectors(r, buf), nil, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			for side := range 2 {
				want = append(want, fmt.Sprintf("%d [%s] %x [%s]", side, h.sni, h.version, h.alpn))
			}
			c.send(c.client, filler(r, 1+r.Intn(50)))
			unix.Close(fds[0])
			unix.Close(fds[1])
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	r.quiet(t)
	(&fieldWork{T: t, want: want}).compare(strings.Split(strings.TrimSpace(r.stdout), "\n"))
}
