package live

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// headerOf returns the expected result of header(): the value of the first header of the
// name before the empty line, cut to 12 characters.
func headerOf(text, name string) string {
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(key, name) {
			value, _, _ = strings.Cut(value, "\n")
			value, _, _ = strings.Cut(value, "\r")
			value = strings.Trim(value, " \t")
			return value[:min(len(value), 12)]
		}
	}
	return ""
}

// TestHeaders compares header() with a model: names in any case, any blanks around the value, other
// headers that look like it, in the body, twice, cut, and not at all.
func TestHeaders(t *testing.T) {
	if *peer {
		t.Skip("it has no such function")
	}
	needRoot(t)
	names := []string{"Host", "content-length", "TRANSFER-ENCODING", "Connection", "user-agent"}
	texts := []string{
		"GET / HTTP/1.1\r\n\r\nHost: body\r\n\r\n", "GET / HTTP/1.1\r\nX-Host: other\r\n\r\n", "GET / HTTP/1.1\r\nHosts: other\r\n\r\n",
		"GET / HTTP/1.1\r\nHost", "GET / HTTP/1.1\r\nHost:", "GET / HTTP/1.1\r\nHost: cut", "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
		"Host: first line\r\n\r\n", "GET /\r\nHost: \t \r\n\r\n", "GET /\r\nHost: a b \tc \t\r\n\r\n", "GET /\r\nHost: one\r\nhost: two\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:" + strings.Repeat(" ", 30) + "far\r\n\r\n", "GET / HTTP/1.1\r\nHost: 123456789012345\r\n\r\n", "", "\r\n\r\n", "\r\nHost: x",
		"GET / HTTP/1.1\r\nhost: é\xff\r\n\r\n", "GET / HTTP/1.1\nhost: bare\n\n",
	}
	r := rand.New(rand.NewSource(1))
	mixed := func(s string) string {
		b := []byte(s)
		for i, c := range b {
			if r.Intn(2) == 0 && c >= 'A' && c|0x20 >= 'a' && c|0x20 <= 'z' {
				b[i] ^= 0x20
			}
		}
		return string(b)
	}
	blanks := []string{"", " ", "  ", "\t", " \t "}
	for range 60 {
		s := "POST /x HTTP/1.1\r\n"
		for range r.Intn(6) {
			name := []string{mixed(names[r.Intn(len(names))]), "x", "Hos", "ost"}[r.Intn(4)&r.Intn(4)]
			s += name + ":" + blanks[r.Intn(5)] + []string{"v", "a,b", "", "gt.example", "18446744073709551616"}[r.Intn(5)] + blanks[r.Intn(5)] + "\r\n"
		}
		texts = append(texts, (s + "\r\nHost: body\r\n")[:len(s)-r.Intn(3)*r.Intn(3)+2*r.Intn(2)])
	}
	var script strings.Builder
	for _, name := range names {
		fmt.Fprintf(&script, "tracepoint:syscalls:sys_enter_write /pid == %d && args.fd == $1/ { printf(\"%s %%d [%%s]\\n\", args.count, header(str(args.buf), %q, 12)); }\n", os.Getpid(), name, name)
	}
	got := writeHeaders(t, script.String(), texts)
	for i := 1; !got.complete() && i < attempts; i++ {
		t.Logf("again: %s", got.stderr)
		got = writeHeaders(t, script.String(), texts)
	}
	if !got.complete() {
		got.leftOut(t)
	}
	got.quiet(t)
	compareHeaders(t, got, names, texts)
}

// writeHeaders writes texts to a pipe while a script runs that reads them.
func writeHeaders(t *testing.T, script string, texts []string) result {
	t.Helper()
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	s := start(t, "-q", "-e", "config = { max_strlen = 400 }\n"+script, fmt.Sprint(w.Fd()))
	s.attached()
	buf := make([]byte, 1000)
	for _, text := range texts {
		if _, err := unix.Write(int(w.Fd()), []byte(text+"\x00")); err != nil {
			t.Fatal(err)
		}
		if _, err := pipe.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGINT)
	return s.wait()
}

// compareHeaders compares what the script showed with the model.
func compareHeaders(t *testing.T, got result, names, texts []string) {
	t.Helper()
	shown := map[string][]string{}
	for _, line := range strings.SplitAfter(got.stdout, "]\n") {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		shown[name] = append(shown[name], value)
	}
	for _, name := range names {
		if len(shown[name]) != len(texts) {
			t.Fatalf("%d lines of %s, want %d", len(shown[name]), name, len(texts))
		}
		for i, text := range texts {
			if want := fmt.Sprintf("%d [%s]", len(text)+1, headerOf(text, name)); shown[name][i] != want {
				t.Errorf("%s of %q: %q, want %q", name, text, shown[name][i], want)
			}
		}
	}
}
