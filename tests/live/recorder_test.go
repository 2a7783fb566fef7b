package live

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// recordSize is the size in bytes that an event with two integers takes in the recorder.
const recordSize = 40

// onCPU runs f in a thread that runs on one CPU.
func onCPU(cpu int, f func()) {
	runtime.LockOSThread() // the thread ends with the goroutine
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		panic(err)
	}
	f()
}

// cpuCount returns the numbers of CPUs: of those to run on, and of those for which the
// kernel has memory.
func cpuCount(t *testing.T) (usable, possible int) {
	t.Helper()
	data, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		t.Fatal(err)
	}
	last := strings.TrimSpace(string(data))
	last = last[strings.LastIndexAny(last, "-,")+1:]
	n, err := strconv.Atoi(last)
	if err != nil {
		t.Fatal(err)
	}
	return min(runtime.NumCPU(), 4), n + 1
}

// fromUs is the predicate for events of this process.
var fromUs = fmt.Sprintf("/pid == %d/", os.Getpid())

// getpgids calls getpgid(i) on each CPU, i counting from base to base+n-1.
func getpgids(cpus, base, n int) {
	var wg sync.WaitGroup
	for cpu := range cpus {
		wg.Go(func() {
			onCPU(cpu, func() {
				for i := range n {
					unix.RawSyscallNoError(unix.SYS_GETPGID, uintptr(base+i), 0, 0)
				}
			})
		})
	}
	wg.Wait()
}

// byCPU returns the second numbers of lines of two numbers, by the first number.
func byCPU(t *testing.T, out string) map[int][]int {
	t.Helper()
	all := map[int][]int{}
	for line := range strings.Lines(out) {
		var cpu, n int
		if _, err := fmt.Sscanf(line, "%d %d\n", &cpu, &n); err != nil {
			t.Fatalf("%q is not a line of an event", line)
		}
		all[cpu] = append(all[cpu], n)
	}
	return all
}

// counts fails the test if list does not count from its first number up to last.
func counts(t *testing.T, list []int, last int) {
	t.Helper()
	for i, n := range list {
		if n != list[0]+i {
			t.Fatalf("event %d is followed by %d", list[i-1], n)
		}
	}
	if len(list) > 0 && list[len(list)-1] != last {
		t.Fatalf("the last event is %d, want %d", list[len(list)-1], last)
	}
}

// recorderLine is the last message of a recorder.
var recorderLine = regexp.MustCompile(`(?m)^Recorded (\d+) events: (\d+) printed, (\d+) overwritten by later ones$`)

func noPeer(t *testing.T) {
	t.Helper()
	if *peer {
		t.Skip("bpftrace has no such option")
	}
}

// TestRecorder fills recorders of all sizes with floods on several CPUs. For each CPU,
// the last events are printed, as many as fit.
func TestRecorder(t *testing.T) {
	noPeer(t)
	cpus, possible := cpuCount(t)
	step := 2
	if testing.Short() {
		step = 4
	}
	for shift := 6; shift <= 22; shift += step {
		ring := 1 << shift // bytes for each CPU
		t.Run(fmt.Sprint(ring), func(t *testing.T) {
			n := 3*ring/recordSize/2 + shift
			if shift >= 20 && testing.Short() {
				n = 20000 // the ring does not get full
			}
			s := start(t, "--recorder", fmt.Sprint(ring*possible), "-e",
				`tracepoint:syscalls:sys_enter_getpgid `+fromUs+` { printf("%d %d\n", cpu, args.pid); }`)
			s.attached()
			getpgids(cpus, 0, n)
			s.signal(syscall.SIGINT)
			r := s.wait()
			r.quiet(t)
			got := byCPU(t, strings.TrimSpace(r.stdout)+"\n")
			want := min(n, ring/recordSize)
			for cpu := range cpus {
				if len(got[cpu]) != want {
					t.Fatalf("%d events of CPU %d, want %d\n%s", len(got[cpu]), cpu, want, r.stderr)
				}
				counts(t, got[cpu], n-1)
			}
			m := recorderLine.FindStringSubmatch(r.stderr)
			if told := fmt.Sprint(n*cpus, want*cpus, (n-want)*cpus); m == nil || strings.Join(m[1:], " ") != told {
				t.Errorf("stderr %q, want %s", r.stderr, told)
			}
		})
	}
}

// TestRecorderOrder checks the order of the events of one thread that runs on different CPUs
// in turn.
func TestRecorderOrder(t *testing.T) {
	noPeer(t)
	cpus, _ := cpuCount(t)
	s := start(t, "--recorder", "1M", "-f", "json", "-e", `tracepoint:syscalls:sys_enter_getpgid `+fromUs+` { print((uint64)args.pid); }`)
	s.attached()
	const n = 400
	done := make(chan bool)
	go onCPU(0, func() {
		for i := range n {
			var set unix.CPUSet
			set.Set(i / 3 % cpus)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				panic(err)
			}
			unix.RawSyscallNoError(unix.SYS_GETPGID, uintptr(i), 0, 0)
		}
		close(done)
	})
	<-done
	s.signal(syscall.SIGINT)
	r := s.wait()
	r.quiet(t)
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, "{\"type\": \"value\", \"data\": %d}\n", i)
	}
	if !strings.HasSuffix(r.stdout, want.String()) {
		t.Errorf("stdout %s", r.stdout)
	}
}

// TestRecorderStrings records strings of different lengths, so that records begin and end at
// all places of a chunk, while events of a timer interrupt the programs.
func TestRecorderStrings(t *testing.T) {
	noPeer(t)
	_, possible := cpuCount(t)
	for _, c := range []struct {
		size, n int
		config  string
	}{
		{8 << 10, 500, ""},
		{64 << 10, 3000, ""},
		{2 << 20, 12000, ""},
		{128 << 10, 60, "config = { max_strlen = 65536; on_stack_limit = 32 } "},
	} {
		n := c.n
		if testing.Short() {
			n = min(n, 1000)
		}
		path := func(i int) string { return fmt.Sprintf("%d/%s/%d", i, strings.Repeat("x", i*37%201), i) }
		s := start(t, "--recorder", fmt.Sprint(c.size*possible), "-e", c.config+
			`tracepoint:syscalls:sys_enter_mkdirat `+fromUs+` { printf("%s\n", str(args.pathname)); } profile:hz:997 { printf("tick\n"); }`)
		s.attached()
		done := make(chan bool)
		go onCPU(0, func() {
			for i := range n {
				p, _ := unix.BytePtrFromString("/proc/" + path(i))
				unix.Syscall(unix.SYS_MKDIRAT, 0, uintptr(unsafe.Pointer(p)), 0)
			}
			close(done)
		})
		<-done
		s.signal(syscall.SIGINT)
		r := s.wait()
		r.quiet(t)
		var list []int
		ticks := 0
		for line := range strings.SplitSeq(strings.TrimSpace(r.stdout), "\n") {
			if line == "tick" {
				ticks++
				continue
			}
			text := strings.TrimPrefix(line, "/proc/")
			i, err := strconv.Atoi(text[:max(strings.IndexByte(text, '/'), 0)])
			if err != nil || path(i) != text {
				t.Fatalf("size %d: %q is not an event", c.size, line)
			}
			list = append(list, i)
		}
		if len(list) < min(n, c.size/600) && c.config == "" || len(list) == 0 {
			t.Errorf("size %d: only %d events\n%s", c.size, len(list), r.stderr)
		}
		counts(t, list, n-1)
		t.Logf("size %d: %d events, %d ticks: %s", c.size, len(list), ticks, r.stderr)
	}
}

// TestRecorderUntil stops the recording in the middle of a flood, by an event on another
// CPU: the events before it are printed, and none after it.
func TestRecorderUntil(t *testing.T) {
	noPeer(t)
	const record = `tracepoint:syscalls:sys_enter_getpgid /pid == $1/ { printf("%d %d\n", cpu, args.pid); }`
	for _, c := range []struct{ until, script string }{
		{"tracepoint:syscalls:sys_enter_getsid /pid == $1/", record},
		{"@stop", record + ` tracepoint:syscalls:sys_enter_getsid /pid == $1/ { @stop = 1; }`},
		{"@stop > 2 / 3 && pid == $1", record + ` tracepoint:syscalls:sys_enter_getsid { if (pid == $1) { @stop = 1; return; } }`},
		{"", record + ` tracepoint:syscalls:sys_enter_getsid /pid == $1/ { stop_recording(); }`},
	} {
		args := []string{"--recorder", "64K", "-e", c.script, fmt.Sprint(os.Getpid())}
		if c.until != "" {
			args = append([]string{"--until", c.until}, args...)
		}
		s := start(t, args...)
		s.attached()
		var begun, done atomic.Int64 // calls of getpgid
		var last atomic.Int64        // call to end with; 0: not known yet
		ended := make(chan bool)
		go onCPU(0, func() {
			for last.Load() == 0 || begun.Load() < last.Load() {
				unix.RawSyscallNoError(unix.SYS_GETPGID, uintptr(begun.Add(1)), 0, 0)
				done.Add(1)
			}
			close(ended)
		})
		eventually(t, "the flood has begun", func() bool { return done.Load() > 100 })
		before := done.Load()
		unix.RawSyscallNoError(unix.SYS_GETSID, 0, 0, 0)
		after := begun.Load()
		last.Store(after + 1000)
		<-ended
		r := s.wait()
		r.quiet(t)
		out, _, _ := strings.Cut(r.stdout, "\n\n@stop: 1")
		list := byCPU(t, strings.TrimSpace(out)+"\n")[0]
		if len(list) == 0 {
			t.Fatalf("--until %q: no events\n%s", c.until, r.stderr)
		}
		final := list[len(list)-1]
		counts(t, list, final)
		if int64(final) < before || int64(final) > after+1 {
			t.Errorf("--until %q: the last event is %d; at the trigger there were %d to %d", c.until, final, before, after)
		}
	}
}

// TestRecorderConditions checks when events are printed, and what gotrace reports if they are not.
func TestRecorderConditions(t *testing.T) {
	noPeer(t)
	const never = "WARNING: The recording was never stopped, as the condition did not hold: 5 events are not printed"
	const script = `begin { printf("begin\n"); } tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { @n++; printf("%d\n", @n); } end { printf("end\n"); }`
	for _, c := range []struct{ until, stdout, stderr string }{
		{"@n == 1", "begin\n1\nend\n@n: \n", "Recorded 1 events: 1 printed"},
		{"@n >= 3", "begin\n1\n2\n3\nend\n@n: \n", "Recorded 3 events: 3 printed"},
		{"1", "begin\nend\n", "Recorded 0 events: 0 printed"}, // in the begin probe
		{"@n > 5", "begin\nend\n@n: \n", never},
		{"", "begin\n1\n2\n3\n4\n5\nend\n@n: \n", "Recorded 5 events: 5 printed"},
	} {
		args := []string{"--recorder", "1M", "-e", script, "-c", *work + " count 5"}
		if c.until != "" {
			args = append(args, "--until", c.until)
		}
		r := trace(t, args...)
		got := regexp.MustCompile(`@n: \d+`).ReplaceAllString(withoutBlank(r.stdout), "@n: ")
		if r.status != 0 || got != c.stdout && (c.until != "1" || !strings.HasPrefix(got, c.stdout)) || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("--until %q: status %d, stdout %q, stderr %q", c.until, r.status, r.stdout, r.stderr)
		}
	}
}

// TestRecorderRejects checks that recorded events for which a predicate does not hold, as only
// gotrace itself can decide, are not counted as printed.
func TestRecorderRejects(t *testing.T) {
	noPeer(t)
	for pred, want := range map[string]string{
		`username == "root"`: "Recorded 5 events: 5 printed, 0 overwritten by later ones",
		`username != "root"`: "Recorded 5 events: 0 printed, 5 for which the predicate does not hold, 0 overwritten by later ones",
	} {
		r := trace(t, "--recorder", "1M", "-c", *work+" count 5",
			"-e", "tracepoint:syscalls:sys_enter_getpgid /pid == cpid && "+pred+"/ { print(1); }")
		if n := strings.Count(r.stdout, "1\n"); r.status != 0 || !strings.Contains(r.stderr, want) || (n == 5) != (pred == `username == "root"`) || n%5 != 0 {
			t.Errorf("%s: status %d, %d lines, stderr %q", pred, r.status, n, r.stderr)
		}
	}
}

// TestRecorderTimes checks that the rows of -f csv have the times of their events, which are
// printed later, and the order of these times.
func TestRecorderTimes(t *testing.T) {
	noPeer(t)
	native(t)
	const layout = "2006-01-02T15:04:05.000Z"
	s := start(t, "-f", "csv", "--recorder", "64K", "-e",
		`tracepoint:syscalls:sys_enter_getpgid `+fromUs+` { printf("%d %d\n", cpu, args.pid); } end { printf("end\n"); }`)
	s.attached()
	before := time.Now()
	cpus, _ := cpuCount(t)
	getpgids(cpus, 0, 10)
	after := time.Now()
	time.Sleep(20 * time.Millisecond)
	s.signal(syscall.SIGINT)
	r := s.wait()
	r.quiet(t)
	rows := strings.Split(strings.TrimSpace(strings.TrimPrefix(r.stdout, attachedLine)), "\n")
	if len(rows) != 2+10*cpus || rows[0] != "time,printf" {
		t.Fatalf("%q", rows)
	}
	last := before
	for i, row := range rows[1:] {
		text, event, _ := strings.Cut(row, ",")
		at, err := time.Parse(layout, text)
		late := at.After(after)
		// Times are rounded down to ms, and two clocks are compared.
		if err != nil || at.Before(last.Add(-2*time.Millisecond)) || late != (event == "end") || late != (i == 10*cpus) {
			t.Errorf("%q is after %v; the events are from %v to %v", row, last, before.UTC(), after.UTC())
		}
		last = at
	}
}

// TestRecorderReturns tests --until in blocks that return early. Its condition uses args,
// which the bodies of loops cannot use.
func TestRecorderReturns(t *testing.T) {
	noPeer(t)
	for body, want := range map[string]string{
		`print(1); if (@n == 3) { return; } print(2);`:                                                                          "1 2 1 2 1",
		`for ($i : 0..3) { if (@n == 3 && $i == 1) { return; } print($i); }`:                                                    "0 1 2 0 1 2 0",
		`for ($k : 7..9) { for ($i : 0..3) { if (@n == 3) { return; } } print($k); } print(1);`:                                 "7 8 1 7 8 1",
		`for ($i : 0..2) { $j = 0; while ($j < 2) { $j++; unroll(2) { if (@n == 3) { return; } } print($j); } }`:                "1 2 1 2 1 2 1 2",
		`$j = 0; while ($j < 4) { $j++; for ($i : 0..9) { if ($i == 2) { break; } if ($j + 1 == @n) { return; } } print($j); }`: "1 2 3 4 1",
	} {
		script := `tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { @n++; ` + body + ` }`
		r := trace(t, "--recorder", "1M", "--until", "args.pid == 2", "-e", script, "-c", *work+" count 5")
		out, _, _ := strings.Cut(r.stdout, "\n\n")
		got := strings.Join(strings.Fields(strings.TrimPrefix(out, attachedLine)), " ")
		if r.status != 0 || got != want {
			t.Errorf("%s: status %d, %q, want %q\n%s", body, r.status, got, want, r.stderr)
		}
	}
}

// TestRecorderStopsAtOnce stops a recording on all CPUs at the same time, from a flood that
// would fill the ring buffer with requests to stop.
func TestRecorderStopsAtOnce(t *testing.T) {
	noPeer(t)
	cpus, _ := cpuCount(t)
	s := start(t, "--recorder", "64K", "--until", "args.pid >= 1000", "-e",
		`config = { perf_rb_pages = 1 } tracepoint:syscalls:sys_enter_getpgid `+fromUs+` { printf("%d %d\n", cpu, args.pid); }`)
	s.attached()
	getpgids(cpus, 0, 20000)
	r := s.wait()
	r.quiet(t)
	got := byCPU(t, strings.TrimSpace(r.stdout)+"\n")
	if len(got) == 0 {
		t.Fatalf("no events: %s", r.stderr)
	}
	reached := 0
	for _, list := range got {
		counts(t, list, list[len(list)-1])
		if slices.Contains(list, 1000) {
			reached++
		}
	}
	if reached == 0 || reached > cpus {
		t.Errorf("%d CPUs have the event that stops the recording", reached)
	}
}

// TestRecorderOutput ends the output early, in several ways: gotrace must end, and report
// the reason.
func TestRecorderOutput(t *testing.T) {
	noPeer(t)
	native(t)
	cpus, _ := cpuCount(t)
	script := `tracepoint:syscalls:sys_enter_getpgid ` + fromUs + ` { printf("%d %d\n", cpu, args.pid); }`
	t.Run("full", func(t *testing.T) {
		s := start(t, "--recorder", "8M", "-o", "/dev/full", "-e", script)
		eventually(t, "it is attached", func() bool {
			return strings.Contains(s.stderr.String(), "Attached") || strings.Contains(s.stdout.String(), attachedLine)
		})
		getpgids(cpus, 0, 50000)
		s.signal(syscall.SIGINT)
		if r := s.wait(); r.status != 1 || strings.Count(r.stderr, "no space left on device") != 1 || strings.Contains(r.stderr, "Recorded") {
			t.Errorf("status %d, stderr %q", r.status, r.stderr)
		}
	})
	t.Run("signals", func(t *testing.T) {
		s := start(t, "--recorder", "8M", "-e", script)
		s.attached()
		getpgids(cpus, 0, 50000)
		s.signal(syscall.SIGTERM)
		time.Sleep(150 * time.Millisecond) // a later signal is another request
		syscall.Kill(s.cmd.Process.Pid, syscall.SIGTERM)
		if r := s.wait(); r.status != 0 && r.status != 128+int(syscall.SIGTERM) {
			t.Errorf("status %d, stderr %q", r.status, r.stderr)
		}
	})
}
