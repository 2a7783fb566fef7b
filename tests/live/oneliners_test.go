package live

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOneLiners runs the one-liners of the documentation, with workloads for each.
func TestOneLiners(t *testing.T) {
	native(t)
	needRoot(t)
	for _, c := range []struct {
		script string
		work   func(t *testing.T)
		want   string // regular expression
	}{
		{
			`file:open /args.write && args.path startswith "/etc/"/ { print((task.cmdline, args.path)); }`,
			func(t *testing.T) {
				name := fmt.Sprintf("/etc/gotrace-test-%d", os.Getpid())
				defer os.Remove(name)
				doWork(t, "/bin/sh", "-c", ": > "+name)
			}, `(?m)^\(/bin/sh -c : > (/etc/gotrace-test-\d+), /etc/gotrace-test-\d+\)$`,
		},
		{
			`http:request { @us[args.host, args.path] = hist(args.ns/1000); }`,
			func(t *testing.T) {
				l, err := net.Listen("tcp4", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go http.Serve(l, http.NotFoundHandler())
				resp, err := http.Get("http://" + l.Addr().String() + "/oneliner")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}, `(?m)^@us\[127\.0\.0\.1:\d+, /oneliner\]:`,
		},
		{
			`proc:exec /task.under("nginx") && task.comm in ("sh", "bash")/ { alert("critical", "shell under web server"); }`,
			func(t *testing.T) {
				data, err := os.ReadFile("/bin/bash")
				if err != nil {
					t.Skip(err)
				}
				server := filepath.Join(t.TempDir(), "nginx")
				if err := os.WriteFile(server, data, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := exec.Command(server, "-c", "/bin/bash -c :; :").Run(); err != nil {
					t.Fatal(err)
				}
			}, `(?i)critical.*shell under web server`,
		},
		{
			`net:drop { @[args.reason, ksym(args.location)] = count(); }`,
			func(t *testing.T) {
				c, err := net.Dial("udp4", "127.0.0.1:1")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.Write([]byte("x"))
			}, `(?m)^@\[SKB_DROP_REASON_NO_SOCKET, \w*udp\w+\]: \d+$`,
		},
	} {
		t.Run(c.script, func(t *testing.T) {
			s := start(t, "-e", c.script)
			s.attached()
			c.work(t)
			s.signal(unix.SIGINT)
			r := s.wait()
			r.quietButMissed(t)
			if !regexp.MustCompile(c.want).MatchString(r.stdout) {
				t.Errorf("want %s:\n%s", c.want, r.stdout)
			}
		})
	}
}
