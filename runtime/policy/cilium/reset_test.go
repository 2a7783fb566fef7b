package cilium_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/policy/cilium"
	"github.com/gotrace/gotrace/runtime/tracer"
)

// serveEnv is set for the process that is the server of TestReset.
const serveEnv = "GOTRACE_TEST_SERVE"

// serve answers each request of HTTP until standard input ends.
func serve() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					}
				}
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

// TestReset sends requests to a server whose policy allows some of them. The client of
// another one gets a reset.
func TestReset(t *testing.T) {
	dir := testCgroup(t)
	fd, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimSpace(line)
	_, port, _ := net.SplitHostPort(addr)
	text := fmt.Sprintf(`apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - toPorts:
    - ports: [{port: %q, protocol: TCP}]
      rules: {http: [{method: GET, path: "/public/.*"}]}
`, port)
	_, _, script, err := translated(dir, text, true)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := tracer.Compile(script.File.Text, tracer.Options{Unsafe: true, Kernel: kernel.Live()})
	if err != nil {
		t.Fatal(err)
	}
	var warnings strings.Builder
	reset := &cilium.Resetter{Err: &warnings}
	s, err := compiled.Start(context.Background(), func(e tracer.Event) {
		if e, ok := e.(tracer.Printed); ok {
			if f, err := cilium.Decode(script, e.Value); err != nil {
				t.Error(err)
			} else {
				reset.Flow(f)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		requests []string
		want     string // "reset", or the first line of the last answer
	}{
		{[]string{"GET /public/a"}, "HTTP/1.1 200 OK"},
		{[]string{"GET /public/a", "GET /public/b"}, "HTTP/1.1 200 OK"},
		{[]string{"GET /private"}, "reset"},
		{[]string{"GET /public/a", "POST /public/a"}, "reset"},
	} {
		if got := ask(addr, c.requests); got != c.want {
			t.Errorf("%q: %s, want %s", c.requests, got, c.want)
		}
	}
	s.Stop()
	if _, err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	if warnings.Len() > 0 {
		t.Error(warnings.String())
	}
}

// ask sends requests on one connection, and returns the last result.
func ask(addr string, requests []string) (got string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	for _, request := range requests {
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: test\r\n\r\n", request)
		got = ""
		for {
			line, err := r.ReadString('\n')
			switch {
			case errors.Is(err, syscall.ECONNRESET):
				return "reset"
			case err != nil:
				return err.Error()
			case got == "":
				got = strings.TrimSpace(line)
			}
			if line == "\r\n" {
				break
			}
		}
	}
	return got
}
