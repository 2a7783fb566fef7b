// Command soak runs gotrace for a given time while it makes system calls at the highest
// possible rate. It checks that every event was counted, that the printed and lost
// events add up, and that gotrace's memory use does not grow:
//
//	go run ./tests/soak -for 20m
//
// It needs root. The exit status is 1 if anything is wrong.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// script counts the calls of getpgid by this process in several kinds of maps
// and aggregations, and prints one call in a thousand.
const script = `
tracepoint:syscalls:sys_enter_getpgid /pid == $1/ {
	@all = count();
	@thread[tid] = count();
	@arg[args.pid] = count();
	@sum = sum(args.pid);
	@hist = hist(args.pid);
	if (args.pid == 0) { printf("%d %s\n", tid, comm); @printed++; }
	@start[tid] = nsecs;
}
tracepoint:syscalls:sys_exit_getpgid /@start[tid]/ {
	@ended = count();
	delete(@start, tid);
}
`

// args is the number of different arguments of the calls.
const args = 1000

func main() {
	long := flag.Duration("for", 20*time.Minute, "how `long` to trace")
	flag.Parse()
	if err := run(*long); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(long time.Duration) error {
	dir, err := os.MkdirTemp("", "gotrace-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "gotrace")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gotrace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	cmd := exec.Command(binary, "-f", "json", "-e", script, strconv.Itoa(os.Getpid()))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	res := &results{attached: make(chan bool)}
	read := make(chan error, 1)
	go func() { read <- res.read(stdout) }()
	select {
	case <-res.attached:
	case err := <-read:
		return errors.Join(err, cmd.Wait(), errors.New(said.String()))
	}
	start := time.Now()
	made, memory := work(cmd.Process.Pid, long)
	took := time.Since(start)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	stopped := time.Now()
	if err := errors.Join(<-read, cmd.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, &said)
	}
	fmt.Printf("%d events in %s: %.0f a second; %d lines printed; the end took %s\n", made, took.Round(time.Second), float64(made)/took.Seconds(), res.lines, time.Since(stopped).Round(time.Millisecond))
	fmt.Printf("memory of gotrace: %d KiB in the first quarter, %d KiB at most after it\n", memory.first, memory.rest)
	return errors.Join(res.check(made, said.String()), memory.check())
}

// usage is the largest resident memory of a process, in KiB.
type usage struct{ first, rest int }

// check returns an error if the memory use grew more than the garbage collector causes.
func (u usage) check() error {
	if u.rest > u.first+u.first/4+4096 {
		return fmt.Errorf("memory grew from %d to %d KiB", u.first, u.rest)
	}
	return nil
}

// work makes calls on all CPUs for the duration long. It returns the number of
// calls and the memory use of process pid.
func work(pid int, long time.Duration) (made uint64, u usage) {
	var stop atomic.Bool
	var total atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			runtime.LockOSThread()
			n := uint64(0)
			for !stop.Load() {
				for arg := range args {
					unix.RawSyscall(unix.SYS_GETPGID, uintptr(arg), 0, 0)
				}
				n += args
			}
			total.Add(n)
		})
	}
	start := time.Now()
	for time.Since(start) < long {
		time.Sleep(min(time.Second, long/20))
		if kib := resident(pid); time.Since(start) < long/4 {
			u.first = max(u.first, kib)
		} else {
			u.rest = max(u.rest, kib)
		}
	}
	stop.Store(true)
	wg.Wait()
	return total.Load(), u
}

func resident(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(v)[0])
			return n
		}
	}
	return 0
}

// results holds the output of gotrace.
type results struct {
	attached chan bool
	lines    uint64
	maps     map[string]json.RawMessage
}

func (r *results) read(in io.Reader) error {
	r.maps = map[string]json.RawMessage{}
	s := bufio.NewScanner(in)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var line struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return fmt.Errorf("%w: %s", err, s.Text())
		}
		switch line.Type {
		case "attached_probes":
			close(r.attached)
		case "printf":
			r.lines++
		case "map":
			var m map[string]json.RawMessage
			if err := json.Unmarshal(line.Data, &m); err != nil {
				return err
			}
			for name, data := range m {
				r.maps[name] = data
			}
		}
	}
	return s.Err()
}

var lost = regexp.MustCompile(`(?i)lost (\d+)|(\d+) events? (?:was|were) lost`)

// check compares the maps with the number of calls made.
func (r *results) check(made uint64, said string) error {
	var errs []error
	is := func(name string, want uint64) {
		var got uint64
		if err := json.Unmarshal(r.maps[name], &got); err != nil || got != want {
			errs = append(errs, fmt.Errorf("%s is %s, want %d", name, r.maps[name], want))
		}
	}
	adds := func(name string, entries int) {
		var m map[string]uint64
		err := json.Unmarshal(r.maps[name], &m)
		total := uint64(0)
		for _, n := range m {
			total += n
		}
		if err != nil || total != made || entries > 0 && len(m) != entries {
			errs = append(errs, fmt.Errorf("%s has %d entries that add up to %d, want %d", name, len(m), total, made))
		}
	}
	is("@all", made)
	is("@ended", made)
	is("@sum", made/args*(args*(args-1)/2))
	is("@printed", made/args)
	adds("@thread", runtime.NumCPU())
	adds("@arg", args)
	missing := uint64(0)
	for _, m := range lost.FindAllStringSubmatch(said, -1) {
		n, _ := strconv.ParseUint(m[1]+m[2], 10, 64)
		missing += n
	}
	if r.lines+missing != made/args {
		errs = append(errs, fmt.Errorf("%d lines were printed and %d lost, of %d", r.lines, missing, made/args))
	}
	if said != "" {
		fmt.Println("its output:", strings.TrimSpace(said))
	}
	return errors.Join(errs...)
}
