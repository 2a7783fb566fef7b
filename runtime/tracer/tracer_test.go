package tracer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/tracer"
	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/testkit"
)

// This program runs a script until it ends, and reads one of its maps.
func Example() {
	script, err := tracer.Compile(`begin { @sum = sum(2); @sum = sum(3); exit(); }`, tracer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := script.Run(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Map("@sum").Entries[0].Value)
	// The output is 5.
}

// This program handles each event of a script, then reads the status that it passes to
// exit.
func ExampleScript_Run() {
	script, err := tracer.Compile(`begin { printf("%d\n", 2); exit(3); }`, tracer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := script.Run(context.Background(), func(e tracer.Event) {
		if text, ok := e.(tracer.Text); ok {
			fmt.Print("text: ", text.Text)
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("status:", result.Status)
	// The output is "text: 2", then "status: 3".
}

// This program handles the output of a script as it happens.
func ExampleScript_Events() {
	script, err := tracer.Compile(`begin { print((1, "one")); printf("%d\n", 2); exit(); }`, tracer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range script.Events(context.Background()) {
		switch e := e.(type) {
		case nil:
			fmt.Println(err)
		case tracer.Printed:
			fmt.Println("a tuple:", e.Value.(value.Tuple)[0])
		case tracer.Text:
			fmt.Print("text: ", e.Text)
		}
	}
}

// This program reads the maps of a script while the script runs.
func ExampleSession_Snapshot() {
	script, err := tracer.Compile(`tracepoint:syscalls:sys_enter_read { @reads[comm] = count(); }`, tracer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := script.Start(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	maps, err := session.Snapshot()
	if err != nil {
		fmt.Println(err)
	}
	for _, e := range maps.Map("@reads").Entries {
		fmt.Println(e.Key, e.Value)
	}
	session.Stop()
	session.Wait()
}

// TestExamples runs the examples and compares their output. They have no output comments,
// because an example without the privileges to trace would fail.
func TestExamples(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range []struct {
		name, want string
		run        func()
	}{
		{"package", "5\n", Example},
		{"Script.Run", "text: 2\nstatus: 3\n", ExampleScript_Run},
		{"Script.Events", "a tuple: 1\ntext: 2\n", ExampleScript_Events},
	} {
		if got := stdout(t, c.run); got != c.want {
			t.Errorf("example of %s: printed %q, want %q", c.name, got, c.want)
		}
	}
}

// stdout returns what run writes to standard output. That must fit into a pipe.
func stdout(t *testing.T, run func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = w
	run()
	os.Stdout = old
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func compile(t *testing.T, script string, opt tracer.Options) *tracer.Script {
	t.Helper()
	testkit.NeedRoot(t)
	s, err := tracer.Compile(script, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSnapshot checks the maps of a running and of an ended script, their typed
// keys and their kinds of numbers.
func TestSnapshot(t *testing.T) {
	s := compile(t, fmt.Sprintf(`tracepoint:syscalls:sys_enter_getpgid /pid == %d && args.pid >= 1000000/ {
		@n[args.pid, "call"] = count(); @s = sum(1); @u = sum((uint64)2); @last = args.pid; @h = hist(args.pid); @x = stats(args.pid); }`, os.Getpid()), tracer.Options{})
	run, err := s.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const id = 1000007
	for calls := 1; calls <= 3; calls++ {
		unix.Getpgid(id)
		maps, err := run.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		check(t, maps, id, calls)
	}
	run.Stop()
	res, err := run.Wait()
	if err != nil {
		t.Fatal(err)
	}
	check(t, res.Maps, id, 3)
	if m := res.Map("@none"); len(m.Entries) != 0 {
		t.Errorf("@none has entries: %v", m)
	}
}

func check(t *testing.T, got []output.Map, id int64, calls int) {
	t.Helper()
	n := value.Uint(calls)
	want := []output.Map{
		{Name: "@h", Metric: value.Histogram, Max: 1, Entries: []value.Entry{{Value: value.Hist{Buckets: []value.Bucket{{Min: 1 << 19, Max: 1<<20 - 1, Unsigned: true, Label: "[512K, 1M)", Count: uint64(calls)}}}}}},
		{Name: "@last", Metric: value.Gauge, Max: 1, Entries: []value.Entry{{Value: value.Int(id)}}},
		{Name: "@n", Metric: value.Counter, Keyed: true, Max: 4096, KeyNames: []string{"pid", ""}, Entries: []value.Entry{{Key: value.Tuple{value.Int(id), value.Str{S: "call"}}, Value: n}}},
		{Name: "@s", Metric: value.Gauge, Max: 1, Entries: []value.Entry{{Value: value.Int(calls)}}},
		{Name: "@u", Metric: value.Counter, Max: 1, Entries: []value.Entry{{Value: 2 * n}}},
		{Name: "@x", Metric: value.Summary, Max: 1, Entries: []value.Entry{{Value: value.Stats{Count: int64(calls), Avg: value.Int(id), Total: value.Int(id * int64(calls))}}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("after %d calls (- want, + got):\n%s", calls, d)
	}
}

func TestEvents(t *testing.T) {
	s := compile(t, `begin { @a[1] = 2; printf("%s\n", "x"); print(3); print(@a); exit(4); } end { errorf("bad %d", 5); }`, tracer.Options{})
	var got []string
	for e, err := range s.Events(t.Context()) {
		switch e := e.(type) {
		case nil:
			t.Fatal(err)
		case tracer.Text:
			got = append(got, fmt.Sprintf("%s %q", e.Kind, e.Text))
		case tracer.Printed:
			got = append(got, fmt.Sprint("value ", e.Value))
		case tracer.Map:
			got = append(got, fmt.Sprint("map ", e.Name, e.Entries))
		case tracer.Message:
			got = append(got, "message "+e.Text)
		}
	}
	want := []string{`printf "x\n"`, "value 3", "map @a[{1 2}]", "message bad 5", "map @a[{1 2}]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(- want, + got):\n%s", d)
	}
	res, err := s.Run(t.Context(), nil) // a script may run again
	if err != nil || res.Status != 4 || len(res.Map("@a").Entries) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestBreak checks that leaving the loop ends the run and that nothing more is
// yielded.
func TestBreak(t *testing.T) {
	s := compile(t, `interval:ms:1 { print(1); print(2); }`, tracer.Options{})
	n := 0
	for range s.Events(t.Context()) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestCompileError(t *testing.T) {
	_, err := tracer.Compile("begin { $x = nosuch(); }\nend { @y[ }", tracer.Options{Name: "my.bt"})
	var e *tracer.Error
	if !errors.As(err, &e) || len(e.Diagnostics) == 0 || !strings.HasPrefix(err.Error(), "my.bt:") {
		t.Fatalf("%T %v", err, err)
	}
	for _, d := range e.Diagnostics {
		if !d.Span.IsValid() || d.Msg == "" {
			t.Errorf("%+v", d)
		}
	}
	for text, want := range map[string]string{"begin { exit($1); }": "", `begin { if comptime ($# != 2) { fail("two"); } }`: "two"} {
		_, err := tracer.Compile(text, tracer.Options{Params: []string{"1"}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestParallel runs several sessions of one script at the same time and takes
// snapshots while they count. Every session must have its own maps with exact
// counts.
func TestParallel(t *testing.T) {
	s := compile(t, fmt.Sprintf(`tracepoint:syscalls:sys_enter_getpgid /pid == %d && args.pid == 1000011/ { @n = count(); @k[args.pid] = count();
		printf("%%d %%s\n", args.pid, strftime("%%Y", nsecs)); print((pid, "x")); }`, os.Getpid()), tracer.Options{})
	const sessions, calls = 4, 500
	runs := make([]*tracer.Session, sessions)
	for i := range runs {
		run, err := s.Start(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		runs[i] = run
	}
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() {
			last := value.Uint(0)
			for last < calls {
				maps, err := run.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range maps {
					if m.Name != "@n" || len(m.Entries) == 0 {
						continue
					}
					n := m.Entries[0].Value.(value.Uint)
					if n < last || n > calls {
						t.Errorf("after %d events there are %d", last, n)
						return
					}
					last = n
				}
			}
		})
	}
	for range calls {
		unix.Getpgid(1000011)
	}
	wg.Wait()
	for _, run := range runs {
		run.Stop()
		res, err := run.Wait()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"@n", "@k"} {
			if m := res.Map(name); len(m.Entries) != 1 || m.Entries[0].Value != value.Uint(calls) {
				t.Errorf("%s is %v, want %d", name, m.Entries, calls)
			}
		}
	}
}

// TestCancelled starts a script with a context that is already done.
func TestCancelled(t *testing.T) {
	s := compile(t, `begin { @n = count(); } interval:s:1 { @n = count(); }`, tracer.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res, err := s.Run(ctx, nil); err == nil {
		if m := res.Map("@n"); len(m.Entries) != 1 || m.Entries[0].Value != value.Uint(1) {
			t.Errorf("@n is %v", m.Entries)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	run, err := s.Start(ctx, nil)
	if err != nil {
		return
	}
	run.Stop()
	if _, err := run.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := run.Wait(); err != nil {
		t.Errorf("waiting again: %v", err)
	}
}

// TestStacksWhileProcessesStart takes stacks of one process and reads snapshots while
// others map files, which the session logs in another goroutine. The race detector
// watches.
func TestStacksWhileProcessesStart(t *testing.T) {
	const runs, calls = 5, 20
	for range runs {
		script, err := tracer.Compile(`tracepoint:syscalls:sys_enter_getpgid /args.pid == 424242/ { @[ustack] = count(); @n = count(); }`,
			tracer.Options{PID: os.Getpid(), Profiles: true})
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var starter sync.WaitGroup
		starter.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					exec.Command("/bin/true").Run()
				}
			}
		})
		session, err := script.Start(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range calls {
			unix.Getpgid(424242)
			if _, err := session.Snapshot(); err != nil {
				t.Error(err)
			}
		}
		session.Stop()
		result, err := session.Wait()
		close(stop)
		starter.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Map("@n").Entries; len(got) != 1 || fmt.Sprint(got[0].Value) != fmt.Sprint(calls) {
			t.Errorf("%v, want %d", got, calls)
		}
	}
}
