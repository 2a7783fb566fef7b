package live

import (
	"strings"
	"syscall"
	"testing"
)

// everyScripts lists scripts for --every, and what is printed each time. The first sends
// no records, so the session waits in another way.
var everyScripts = []struct{ name, script, want string }{
	{"no records", `begin { @ = 5; @k[1] = count(); } interval:s:1000 { exit(); }`, "@: 5\n@k[1]: 1\n"},
	{"records", `begin { @ = 5; printf("begin\n"); @k[1] = count(); } interval:s:1000 { printf("never\n"); }`, "@: 5\n@k[1]: 1\n"},
	{"nothing", `begin { @k[1] = count(); clear(@k); } interval:s:1000 { exit(); }`, ""},
}

// TestEvery checks that --every prints the maps repeatedly, and once more at the end.
func TestEvery(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	for _, c := range everyScripts {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, "-q", "--every", "20ms", "-e", c.script)
			s.attached()
			if c.want != "" {
				eventually(t, "the maps are printed three times", func() bool { return strings.Count(s.stdout.String(), c.want) >= 3 })
			}
			s.signal(syscall.SIGINT)
			r := s.wait()
			if r.status != 0 || r.stderr != "" {
				t.Fatalf("status %d, stderr %q", r.status, r.stderr)
			}
			if rest := strings.TrimSpace(strings.ReplaceAll(strings.Replace(r.stdout, "begin\n", "", 1), c.want, "")); c.want != "" && rest != "" {
				t.Errorf("other output: %q", rest)
			}
			if !strings.HasSuffix(r.stdout, "\n\n"+c.want) {
				t.Errorf("the end does not print the maps: %q", r.stdout)
			}
		})
	}
}

// TestFor checks that --for ends the session as Ctrl-C does.
func TestFor(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	r := trace(t, "-q", "--for", "50ms", "-e", `begin { @ = 5; } interval:s:1000 { @ = 6; } end { printf("end\n"); }`)
	if r.status != 0 || r.stderr != "" || withoutBlank(r.stdout) != "end\n@: 5\n" {
		t.Errorf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
}

// TestForIsNoInterrupt checks that pending actions still take place when --for ends the
// session. They would not after a signal.
func TestForIsNoInterrupt(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	var r result
	for range 5 { // a machine that is busy for a second may leave it out
		r = trace(t, "-q", "--unsafe", "--for", "50ms", "-e", `interval:ms:10 /@n == 0/ { @n = 1; system("sleep 0.2"); system("echo done"); }`)
		if r.status == 0 && r.stderr == "" && withoutBlank(r.stdout) == "done\n@n: 1\n" {
			return
		}
	}
	t.Errorf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
}

// TestRates checks that --rates prints no totals before the end.
func TestRates(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	s := start(t, "-q", "--every", "20ms", "--rates", "-e", `begin { @c = count(); @g = 5; } interval:s:1000 { exit(); }`)
	s.attached()
	eventually(t, "the gauge is printed three times", func() bool { return strings.Count(s.stdout.String(), "@g: 5\n") >= 3 })
	s.signal(syscall.SIGINT)
	r := s.wait()
	before, after, _ := strings.Cut(r.stdout, "\n\n\n")
	if strings.Count(before, "@c: ") > 1 {
		t.Errorf("the counter did not change, but has a rate again: %q", before)
	}
	if want := "@c: 1\n@g: 5\n"; !strings.HasSuffix(after, want) {
		t.Errorf("the end is %q, want %q", after, want)
	}
}

// TestEveryCSV checks the rows of -f csv with --every.
func TestEveryCSV(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	s := start(t, "-f", "csv", "--every", "20ms", "-e", `begin { @k["a,b", 1] = count(); } interval:s:1000 { exit(); }`)
	s.attached()
	const row = `,@k,"a,b",1,1` + "\n"
	eventually(t, "three rows are there", func() bool { return strings.Count(s.stdout.String(), row) >= 3 })
	s.signal(syscall.SIGTERM)
	r := s.wait()
	lines := strings.SplitAfter(r.stdout, "\n")
	if r.status != 0 || lines[0] != "time,map,key1,key2,value\n" || strings.Count(r.stdout, row) != len(lines)-2 {
		t.Errorf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
}
