package live

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// memoryOf returns the resident memory of a process in bytes.
func memoryOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize()
}

// TestManyConnections opens connections, 9,000 at once, which is more than the tables have room
// for, several times. Each has a request, and its answer comes when all have sent theirs.
// What is shown has to be right, and the rest is counted.
func TestManyConnections(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	const atOnce = 9000
	rounds := 3
	if *thorough {
		rounds = 12
	}
	most := unix.Rlimit{Cur: 2*atOnce + 1000, Max: 2*atOnce + 1000}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	most.Max = max(most.Max, old.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &most); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) { manyConnections(t, network, rounds, atOnce) })
	}
}

// many makes connections to a listening socket.
type many struct {
	*testing.T
	family, listener int
	at               unix.Sockaddr
	buf              [64]byte
}

func (m *many) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func newMany(t *testing.T, network string) *many {
	m := &many{T: t, family: unix.AF_INET, at: &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}}
	if network == "unix" {
		m.family, m.at = unix.AF_UNIX, &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")}
	}
	var err error
	m.listener, err = unix.Socket(m.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	m.must(err)
	t.Cleanup(func() { unix.Close(m.listener) })
	m.must(unix.Bind(m.listener, m.at))
	m.must(unix.Listen(m.listener, 16))
	m.at, err = unix.Getsockname(m.listener)
	m.must(err)
	return m
}

// connect returns both ends of a new connection, the client's first.
func (m *many) connect() (c [2]int) {
	m.Helper()
	var err error
	c[0], err = unix.Socket(m.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	m.must(err)
	m.must(unix.Connect(c[0], m.at))
	c[1], _, err = unix.Accept4(m.listener, unix.SOCK_CLOEXEC)
	m.must(err)
	return c
}

// pass moves a text from one end to the other.
func (m *many) pass(from, to int, text string) {
	m.Helper()
	_, err := unix.Write(from, []byte(text))
	m.must(err)
	n, err := unix.Read(to, m.buf[:])
	m.must(err)
	if string(m.buf[:n]) != text {
		m.Fatalf("%q came, want %q", m.buf[:n], text)
	}
}

func manyConnections(t *testing.T, network string, rounds, atOnce int) {
	m := newMany(t, network)
	s := ownRequests(t, "http")
	n, early := 0, 0
	for round := range rounds {
		var list [][2]int
		for range atOnce {
			c := m.connect()
			list = append(list, c)
			m.pass(c[0], c[1], fmt.Sprintf("GET /%d HTTP/1.1\r\n\r\n", n))
			n++
		}
		for _, c := range list {
			m.pass(c[1], c[0], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		for _, c := range list {
			m.must(unix.SetsockoptLinger(c[0], unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			m.must(unix.Close(c[0]))
			m.must(unix.Close(c[1]))
		}
		if round == 1 {
			early = memoryOf(t, s.cmd.Process.Pid)
		}
	}
	late := memoryOf(t, s.cmd.Process.Pid)
	s.signal(syscall.SIGINT)
	r := s.wait()
	if strings.Contains(r.stdout, "lost_events") || r.missed() > 0 {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	shown, said := map[string]bool{}, 0
	for line := range strings.Lines(r.stdout) {
		var q map[string]any
		if json.Unmarshal([]byte(line), &q) != nil || q["path"] == nil {
			continue
		}
		key := fmt.Sprint(q["server"], q["path"])
		i, err := strconv.Atoi(strings.TrimPrefix(fmt.Sprint(q["path"]), "/"))
		got := fmt.Sprint(q["status"], q["req_bytes"], q["resp_bytes"], q["complete"])
		want := fmt.Sprint(200, len(fmt.Sprintf("GET /%d HTTP/1.1\r\n\r\n", i)), 40, true)
		if err != nil || i >= n || shown[key] || got != want {
			t.Fatalf("%s: %s, want %s once", key, got, want)
		}
		shown[key] = true
	}
	for line := range strings.Lines(r.stderr) {
		k := 0
		fmt.Sscanf(line, "Not shown: %d", &k)
		said += k
	}
	t.Logf("%d of %d shown, %d said to be missing; %d bytes after 2 rounds, %d at the end", len(shown), 2*n, said, early, late)
	if len(shown)+said != 2*n {
		t.Errorf("%d of %d are missing, but %d are reported: %s", 2*n-len(shown), 2*n, said, r.stderr)
	}
	if late > early+early/4+8<<20 {
		t.Errorf("the memory grew from %d bytes to %d", early, late)
	}
}
