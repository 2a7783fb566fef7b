package hosts

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestListen checks that a listener accepts connections until it is closed.
func TestListen(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost", ""} {
		l, err := Listen(host, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Dial("127.0.0.1", l.Addr().Port(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "hello")
		c.Close()
		if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		s.Close()
		done := make(chan error)
		go func() { _, err := l.Accept(); done <- err }()
		l.Close()
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if _, err := Listen("192.0.2.1", 0); err == nil {
		t.Error("it listens on an address that this machine does not have")
	}
}

func TestSplitPort(t *testing.T) {
	for _, c := range []struct {
		addr, host string
		port       uint16
		ok         bool
	}{
		{":80", "", 80, true}, {"a:80", "a", 80, true}, {"[::1]:80", "::1", 80, true}, {"a:https", "a", 443, true},
		{"::1:80", "", 0, false}, {"80", "", 0, false}, {"", "", 0, false}, {"a:", "", 0, false}, {"a:99999", "", 0, false},
		{"[::1:80", "", 0, false}, {"[::1]", "", 0, false}, {"a:no-such-service", "", 0, false},
	} {
		if host, port, ok := SplitPort(c.addr); ok != c.ok || ok && (host != c.host || port != c.port) {
			t.Errorf("%q: %q, %d, %v", c.addr, host, port, ok)
		}
	}
}
