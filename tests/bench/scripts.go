package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gotrace/gotrace/tests/shapes"
)

// scriptLines lists the numbers of lines of the scripts that are measured.
var scriptLines = []int{1000, 3000, 10000}

// scripts prints how long scripts of many lines take to compile, and to compile and load.
// The arguments are the names of shapes; if there are none, all are measured.
func (b *bench) scripts(names []string) {
	fmt.Printf("%-22s %6s %27s %27s\n", "seconds", "lines", "compile  wall   user    sys", "load  wall   user    sys")
	for _, s := range shapes.All {
		if len(names) > 0 && !strings.Contains(" "+strings.Join(names, ",")+",", s.Name+",") {
			continue
		}
		for _, n := range scriptLines {
			if s.Most > 0 && n > s.Most {
				continue
			}
			file := filepath.Join(b.dir, "script.bt")
			if err := os.WriteFile(file, []byte(s.Text(n)), 0o600); err != nil {
				b.fail(err)
			}
			fmt.Printf("%-22s %6d %s %s\n", s.Name, n, b.times("--mode", "codegen", file), b.times("--dry-run", file))
		}
	}
}

// times returns the least times of all rounds in which gotrace is run with args, or its
// error.
func (b *bench) times(args ...string) string {
	var wall, user, sys time.Duration
	for i := range b.rounds {
		cmd := exec.Command(b.gotrace, args...)
		cmd.Env = append(os.Environ(), "BPFTRACE_MAX_PROBES=100000", "BPFTRACE_MAX_BPF_PROGS=100000")
		start := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(start)
		if err != nil {
			text, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			return fmt.Sprintf("%27.60s", text)
		}
		state := cmd.ProcessState
		if i == 0 {
			wall, user, sys = took, state.UserTime(), state.SystemTime()
		}
		wall, user, sys = min(wall, took), min(user, state.UserTime()), min(sys, state.SystemTime())
	}
	return fmt.Sprintf("%13.2f %6.2f %6.2f", wall.Seconds(), user.Seconds(), sys.Seconds())
}
