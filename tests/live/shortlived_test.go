package live

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestShortLives prints the user stacks and functions of processes that live
// for 0 to 20 ms or execute another program. All must have names, whether they
// are printed at once or long after the process has ended.
func TestShortLives(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	n := 12 // of each life
	if testing.Short() {
		n = 4
	}
	const stack = `tracepoint:syscalls:sys_enter_getpgid /comm == "gtwork"/ `
	programs := []struct{ name, text string }{
		{"printed", stack + `{ printf("%s\n", ustack(perf, 3)); }`},
		{"key", stack + `{ @[pid, ustack(3)] = count(); }`},
		{"value", stack + `{ @[pid] = ustack(3); }`},
		{"tuple", stack + `{ @[pid] = (1, ustack(3)); }`},
		{"record", stack + `{ print((ustack(3), 1)); }`},
		{"usym", `uprobe:` + *work + `:stack_left { @[pid, usym(reg("ip"))] = count(); }`},
		{"func", `uprobe:` + *work + `:stack_left { printf("%s\n", func); }`},
	}
	lives := [][]string{
		{"stacks", "1", "1"},
		{"then", *work, "sleep", "1"}, {"then", *work, "sleep", "5"}, {"then", *work, "sleep", "20"},
		{"then", "/bin/true"},
	}
	for _, p := range programs {
		s := start(t, "-e", `config = { max_map_keys = 1000 } `+p.text)
		s.attached()
		for _, life := range lives {
			for range n {
				doWork(t, *work, life...)
			}
		}
		s.signal(syscall.SIGINT)
		r := s.wait()
		r.quiet(t)
		each := 1
		if strings.Contains(p.text, "ustack") {
			each = 2 // at least two of the three frames
		}
		if got := strings.Count(r.stdout, "stack_"); got < each*n*len(lives) || strings.Contains(r.stdout, "0x") {
			t.Errorf("%s: %d names, want %d\n%s", p.name, got, each*n*len(lives), fmt.Sprintf("%.2000s", r.stdout))
		}
	}
}

// TestExecutedProgram traces processes that execute the workload immediately after
// their fork. The parent has other functions at the same addresses, so a lookup in the
// previous mappings of the process would return one of these.
func TestExecutedProgram(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	n := 1500
	if testing.Short() {
		n = 200
	}
	s := start(t, "-e", `uprobe:`+*work+`:stack_left { printf("%s\n", func); }`)
	s.attached()
	for range n {
		doWork(t, *work, "stacks", "1", "1")
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	r.quiet(t)
	names := map[string]int{}
	for _, name := range strings.Fields(strings.ReplaceAll(r.stdout, attachedLine, "")) {
		names[name]++
	}
	if len(names) != 1 || names["stack_left"] != n {
		t.Errorf("%v, want %d times stack_left", names, n)
	}
}

// TestStorm starts many short-lived processes, several at a time, and prints their stacks
// after all have ended. Every one has its names, and no record of mappings is lost.
func TestStorm(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	n, spawners := 4000, 4
	if testing.Short() {
		n = 120
	}
	s := start(t, "-e", `config = { max_map_keys = 10000 }
		tracepoint:syscalls:sys_enter_getpgid /comm == "gtwork"/ { @[pid, nsecs, ustack(3)] = count(); }`)
	s.attached()
	var all sync.WaitGroup
	for range spawners {
		all.Go(func() {
			for range n / spawners {
				if out, err := exec.Command(*work, "stacks", "1", "1").CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		})
	}
	all.Wait()
	s.signal(syscall.SIGINT)
	r := s.wait()
	r.quietButMissed(t) // Linux 7 preempts programs
	keys, names := strings.Count(r.stdout, "@["), strings.Count(r.stdout, "stack_")
	if keys > n || keys < n-r.missed() || names != 2*keys || strings.Contains(r.stdout, "0x") {
		t.Errorf("%d stacks with %d names, want %d with %d, but for %d missed\n%.2000s", keys, names, n, 2*n, r.missed(), r.stdout)
	}
}
