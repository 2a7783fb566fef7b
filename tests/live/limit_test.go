package live

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLimit has two threads with the same keys at the same time: each key passes once.
func TestLimit(t *testing.T) {
	const keys, first = 2000, 2000000000
	s := start(t, "-e", fmt.Sprintf(`tracepoint:syscalls:sys_enter_getpgid /args.pid >= %d/ {
  @calls = count();
  if (limit(args.pid, 1h)) { @one = count(); }
  if (limit("a key of more than sixty-four bytes, of which only a hash is kept", args.pid, 1h)) { @long = count(); }
  if (limit(args.pid - %d >= 1000, 1h)) { @two = count(); }
  if (limit(1h)) { @all = count(); }
}`, first, first))
	s.attached()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for k := range keys {
				unix.Getpgid(first + k)
			}
		})
	}
	both.Wait()
	s.signal(syscall.SIGINT)
	r := s.wait()
	r.quietButMissed(t)
	if r.missed() > 0 {
		t.Skipf("the kernel skipped events: %s", r.stderr)
	}
	for _, want := range []string{"@all: 1", "@calls: 4000", "@long: 2000", "@one: 2000", "@two: 2"} {
		if !strings.Contains(r.stdout, want+"\n") {
			t.Errorf("no %s in\n%s", want, r.stdout)
		}
	}
}

func TestAlert(t *testing.T) {
	script := `begin { alert("critical", "a %s of %d\n", comm, 7); alert("DEBUG", "b"); exit(); }`
	text := trace(t, "-e", script)
	want := `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z: Critical a \S+ of 7\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z: Debug b\n`
	if text.quiet(t); !regexp.MustCompile(want).MatchString(text.stdout) {
		t.Errorf("%s does not match %s", text.stdout, want)
	}
	json := trace(t, "-f", "json", "-e", script)
	want = `\{"type": "alert", "data": \{"time": "[-0-9:.TZ]+", "priority": "Critical", "output": "a \S+ of 7"\}\}\n`
	if !regexp.MustCompile(want).MatchString(json.stdout) {
		t.Errorf("%s does not match %s", json.stdout, want)
	}
}
