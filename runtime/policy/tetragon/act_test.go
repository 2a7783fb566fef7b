package tetragon

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		line, _ := bufio.NewReader(c).ReadString('\n')
		got <- strings.TrimSpace(line)
		c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	}()
	if err := get("http://" + l.Addr().String() + "/canary?x=1"); err != nil {
		t.Fatal(err)
	}
	if line := <-got; line != "GET /canary?x=1 HTTP/1.1" {
		t.Errorf("the server got %q", line)
	}
	for _, url := range []string{"http://127.0.0.1:99999/", "http://127.0.0.1:x/", "%"} {
		if get(url) == nil {
			t.Errorf("%s: no error", url)
		}
	}
}
