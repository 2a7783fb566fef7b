package live

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestUnwind walks the stacks of a program that was compiled in several ways. For each
// case of testdata/params/frames.c the functions of the program itself must be those of
// the source. Until the tables are complete, a stack may end early. The script waits
// until they are. An early end must be reported, and the frames of the stack must be
// right.
func TestUnwind(t *testing.T) {
	cases := [][]string{
		{"mark", "leaf3", "leaf2", "leaf1", "main"},
		{"mark", "with_alloca", "main"},
		{"mark", "leaf3", "with_vla", "main"},
		{"mark", "leaf3", "large", "main"},
		{"mark", "leaf3", "aligned", "main"},
		{"mark", "leaf3", "leaf2", "saves", "main"},
		slices.Concat([]string{"mark", "leaf3"}, slices.Repeat([]string{"deep"}, 61), []string{"main"}),
		{"mark", "never", "last_call", "noreturn_call", "main"},
		{"mark", "compare", "sorts", "main"},
		{"mark", "handler", "raises", "main"},
		{"mark", "handler", "raises_aside", "main"},
		{"mark", "skip", "faults", "main"},
		{"mark", "leaf3", "thread"},
		{"mark", "leaf3", "from_code", "generated", "main"},
		{"mark", "leaf3", "from_code", "generated", "main"},
		{"mark", "bare", "calls_bare", "main"},
		{"mark", "leaf3", "plain", "calls_plain", "main"},
	}
	own := map[string]bool{}
	for _, c := range cases {
		for _, name := range c {
			own[name] = true
		}
	}
	source, err := os.ReadFile("testdata/params/frames.c")
	if err == nil { // not in a guest
		for _, m := range regexp.MustCompile(`(?m)^OWN .*?(\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			if !own[m[1]] {
				t.Errorf("no case has the function %s of the source", m[1])
			}
		}
	}
	for _, name := range []string{"frames-O0", "frames-O2", "frames-O3", "frames-fp", "frames-O2-auto"} {
		t.Run(name, func(t *testing.T) {
			program, how := strings.TrimSuffix(name, "-auto"), "dwarf"
			if program != name {
				how = "auto"
			}
			bin := fixture(t, program)
			// The tables of the program and the C library exist when the stack of a
			// signal handler is complete, and those of generated code when the stacks
			// through it are complete. After that, a few more rounds are enough.
			script := fmt.Sprintf(`config = { user_stack = %s } uprobe:%s:mark {
				@[arg0, ustack] = count();
				if (arg0 == 9 && len(ustack) > 7) { @whole = 1; }
				if (arg0 == 13 && len(ustack) > 6) { @whole13 = 1; }
				if (arg0 == 14 && len(ustack) > 6) { @whole14 = 1; }
				if (arg0 == 15 && @whole && @whole13 && @whole14) { @rounds++; if (@rounds > 5) { exit(); } }
			}`, how, bin)
			r := trace(t, "-c", bin, "-e", script)
			found := make([]bool, len(cases))
			for _, entry := range strings.Split(r.stdout, "@[")[1:] {
				key, _, _ := strings.Cut(entry, "]:")
				number, frames, _ := strings.Cut(key, ",")
				var n int
				fmt.Sscan(number, &n)
				var got, all []string
				for _, line := range strings.Fields(frames) {
					fun, _, _ := strings.Cut(line, "+")
					all = append(all, fun)
					if own[fun] {
						got = append(got, fun)
					}
				}
				want := cases[n]
				if n == 7 { // return addresses that are in no function have no name
					got, want = slices.Compact(append(got[:min(len(got), 2)], got[max(0, len(got)-1):]...)), []string{"mark", "never", "main"}
				}
				if n == 15 && how == "dwarf" {
					want = want[:2]
					if len(got) == 2 && !strings.HasSuffix(strings.TrimSpace(frames), "[incomplete: no unwind table for the code]") {
						t.Errorf("case %d has no mark: %s", n, frames)
					}
				}
				if slices.Equal(got, want) {
					found[n] = true
				} else if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
					t.Errorf("case %d: %q (all: %q), want %q", n, got, all, want)
				}
			}
			for n, ok := range found {
				if !ok {
					t.Errorf("case %d: no complete stack", n)
				}
			}
			if t.Failed() {
				t.Log(r.stdout, r.stderr)
			}
		})
	}
}

// TestUnwindLanguages walks the stacks of programs in C++, Rust and Go: through templates,
// virtual and generic functions, closures, exceptions, panics, destructors that run
// meanwhile, threads and goroutines, and calls from Go to C and back. The functions of the
// program itself must be those of the source, in this order; others, such as those of the
// library, may be in between.
func TestUnwindLanguages(t *testing.T) {
	cpp := []string{
		"mark box<long,5>::sum(int) templates(int) main", "mark square::area(int) virtuals(shape*,int) main", "mark catches(int) main",
		"mark guard::~guard() guarded(int) passes(int) main", "mark calls( lambdas(int) main",
	}
	rust := []string{
		"mark Square dynamic ::main main", "mark Square generic ::main main", "mark calls closure ::main main",
		"mark Guard panics caught ::main main", "mark in_thread start_thread",
	}
	golang := []string{
		"main.mark main.leaf main.square.area main.methods main.main runtime.main runtime.goexit",
		"main.mark main.leaf main.largeFrame main.main runtime.main runtime.goexit",
		"main.mark main.leaf main.closures main.main runtime.main runtime.goexit",
		"main.mark main.sorts.func1 sort.Slice main.sorts main.main runtime.main runtime.goexit",
		"main.mark main.leaf main.deferred.func1 main.deferred main.main runtime.main runtime.goexit",
		"main.mark main.leaf main.panics.func2 runtime.gopanic main.panics main.main runtime.main runtime.goexit",
		"main.mark main.leaf main.inGoroutine runtime.goexit",
	}
	cgo := []string{
		"mark inner inC runtime.asmcgocall runtime.cgocall main._Cfunc_inC main.toC main.main runtime.main runtime.goexit",
		"mark inner inC runtime.asmcgocall main.toC _inGo runtime.cgocallback crosscall2 inGo back runtime.asmcgocall main.thereAndBack main.main runtime.main runtime.goexit",
	}
	for i, c := range []struct {
		name, mark, number string
		want               []string
	}{
		{"chains-cgo", "mark", "arg0", cgo}, {"chains-cgo-s", "mark", "arg0", cgo},
		{"chains-cpp-O0", "mark", "arg0", cpp}, {"chains-cpp-O2", "mark", "arg0", cpp},
		{"chains-rust-O0", "mark", "arg0", rust}, {"chains-rust-O", "mark", "arg0", rust},
		{"chains-go", "main.mark", `reg("ax")`, golang}, {"chains-go-s", "main.mark", `reg("ax")`, golang}, {"chains-go-pie", "main.mark", `reg("ax")`, golang},
	} {
		if elsewhere(i) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			bin := fixture(t, c.name)
			// One file has all functions. If a stack has more than two of them, the
			// file's table exists, and each later stack must be complete.
			last := len(c.want) - 1
			script := fmt.Sprintf(`config = { user_stack = dwarf } uprobe:%s:%s {
				if (@whole) { @[%[3]s, ustack] = count(); }
				if (%[3]s == %[4]d && len(ustack) > 2) { @whole = 1; @rounds++; if (@rounds > 4) { exit(); } }
			}`, bin, c.mark, c.number, last)
			r := trace(t, "-c", bin, "-e", script)
			checkNumbered(t, r, c.want, strings.Contains)
		})
	}
}

// TestUnwindSystemStack walks the stacks of functions of Go's runtime that run on the stack
// of a thread, from there to the stack of the goroutine.
func TestUnwindSystemStack(t *testing.T) {
	want := []string{"runtime.stopTheWorldWithSema", "runtime.systemstack", "runtime.GC", "main.collect", "main.main", "runtime.main", "runtime.goexit"}
	for i, name := range []string{"chains-go", "chains-go-s", "chains-go-pie"} {
		if elsewhere(i) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bin := fixture(t, name)
			r := trace(t, "-c", bin, "-e", fmt.Sprintf(`config = { user_stack = dwarf } uprobe:%s:runtime.stopTheWorldWithSema {
				if (@whole) { @[ustack] = count(); @n++; if (@n > 20) { exit(); } }
				else if (len(ustack) > 6) { @whole = 1; }
			}`, bin))
			found := false
			for _, entry := range strings.Split(r.stdout, "@[")[1:] {
				frames, _, _ := strings.Cut(entry, "]:")
				at := 0
				for _, line := range strings.Fields(frames) {
					if at < len(want) && strings.HasPrefix(line, want[at]) {
						at++
					}
				}
				found = found || at == len(want)
				if strings.Contains(frames, "[incomplete") {
					t.Errorf("a stack ends early:%s", frames)
				}
			}
			if !found {
				t.Errorf("no stack has %q: %s\n%s", want, r.stdout, r.stderr)
			}
		})
	}
}

// TestUnwindGarbage walks stacks through generated code whose frame pointer points to
// memory that is not a frame. A caller that is not in executable memory is not part of
// the stack.
func TestUnwindGarbage(t *testing.T) {
	bin := fixture(t, "nocode")
	for _, how := range []string{"dwarf", "auto"} {
		t.Run(how, func(t *testing.T) {
			r := trace(t, "-c", bin, "-e", fmt.Sprintf(`config = { user_stack = %s } uprobe:%s:mark {
				if (@whole) { @[arg0, ustack] = count(); }
				if (arg0 == 7 && len(ustack) > 2) { @whole = 1; @rounds++; if (@rounds > 4) { exit(); } }
			}`, how, bin))
			found := map[string]bool{}
			for _, entry := range strings.Split(r.stdout, "@[")[1:] {
				number, frames, _ := strings.Cut(entry, ",")
				frames, _, _ = strings.Cut(frames, "]:")
				lines := strings.Split(strings.TrimSpace(frames), "\n")
				if len(lines) != 4 || !strings.Contains(lines[0], "mark") || !strings.Contains(lines[1], "called") || !strings.Contains(lines[3], "[incomplete: frames damaged") {
					t.Errorf("case %s:%s", number, frames)
				}
				found[number] = true
			}
			if len(found) != 8 {
				t.Errorf("%d cases, want 8\n%s", len(found), r.stderr)
			}
		})
	}
}

// TestUnwindGoStacks walks the stacks of functions of Go's runtime that have left the
// stack of a goroutine. They must end there, without a false caller.
func TestUnwindGoStacks(t *testing.T) {
	for i, name := range []string{"chains-go", "chains-go-s", "chains-go-pie"} {
		if elsewhere(i) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bin := fixture(t, name)
			r := trace(t, "-c", bin, "-e", fmt.Sprintf(`config = { user_stack = dwarf } uprobe:%s:runtime.schedule {
				if (@whole) { @[ustack] = count(); @n++; if (@n > 50) { exit(); } }
				else if (len(ustack) > 2) { @whole = 1; }
			} interval:s:20 { exit(); }`, bin))
			const last = "runtime.mcall"
			found := false
			for _, entry := range strings.Split(r.stdout, "@[")[1:] {
				frames, _, _ := strings.Cut(entry, "]:")
				lines := strings.Fields(frames)
				ends := strings.HasPrefix(lines[len(lines)-1], last)
				found = found || ends
				if strings.Contains(frames, last) && !ends || strings.Contains(frames, "[incomplete") {
					t.Errorf("a stack does not end at %s:%s", last, frames)
				}
			}
			if !found {
				t.Errorf("no stack ends at %s: %s\n%s", last, r.stdout, r.stderr)
			}
		})
	}
}

// TestTablesBeforeAttach checks that the tables of the process of -p are made when the
// probes are attached: its first event has a whole stack. Other processes have none.
func TestTablesBeforeAttach(t *testing.T) {
	if *peer {
		t.Skip("it has no tables")
	}
	needRoot(t)
	cat := exec.Command("cat")
	in, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Skip(err)
	}
	defer cat.Wait()
	defer in.Close()
	s := start(t, "-v", "-p", fmt.Sprint(cat.Process.Pid), "-e", `config = { user_stack = dwarf }
		tracepoint:syscalls:sys_exit_read /pid == $1/ { print(ustack); exit(); }`, fmt.Sprint(cat.Process.Pid))
	s.attached()
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r := s.wait()
	if strings.Contains(r.stderr, "not made yet") || len(strings.Fields(r.stdout)) < 2 || !strings.Contains(r.stderr, " rules, 1 processes,") {
		t.Errorf("stdout %q\n%s", r.stdout, r.stderr)
	}
}

// TestShortProcesses takes a stack at the exit of processes that live for about a
// millisecond. The tables of their files exist, because the process of -c maps these
// files. No stack may end early because the process is unknown.
func TestShortProcesses(t *testing.T) {
	if *peer {
		t.Skip("it has no tables")
	}
	needRoot(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	n := 1000
	if testing.Short() {
		n = 60
	}
	s := start(t, "-c", sleep+" 1000", "-e", `config = { user_stack = dwarf }
		tracepoint:syscalls:sys_enter_exit_group /comm == "sleep" && ppid == $1/ { @n = count(); @depth[len(ustack)] = count(); }`, fmt.Sprint(os.Getpid()))
	s.attached()
	for range n {
		if err := exec.Command(sleep, "0").Run(); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	// The kernel may change a process's mappings while the program looks for one. Such
	// stacks end early, and are reported.
	short := 0
	for _, m := range regexp.MustCompile(`not made yet\)(?: \((\d+) times (in all)?)?`).FindAllStringSubmatch(r.stderr, -1) {
		n, _ := strconv.Atoi(m[1])
		short = max(short, n, 1)
	}
	t.Logf("%d stacks are reported to end early", short)
	whole, depths, total := 0, 0, 0
	for _, m := range regexp.MustCompile(`@depth\[\d+\]: (\d+)`).FindAllStringSubmatch(r.stdout, -1) {
		n, _ := strconv.Atoi(m[1])
		whole, total = max(whole, n), total+n
		depths++
	}
	if total != n || whole < n-short || depths > 1 && short == 0 {
		t.Errorf("%d of %d stacks have one depth, and %d are reported to end early: %s\n%s", whole, total, short, r.stdout, r.stderr)
	}
	if short > n/5 {
		t.Errorf("%d stacks end early: the tables of the files were there\n%s", short, r.stderr)
	}
}

// TestUnwindForked walks the stacks of processes that have just been forked, using the
// kernel's tree of their mappings. The tree of a process with more mappings is higher.
func TestUnwindForked(t *testing.T) {
	bin := fixture(t, "forks")
	for i, mappings := range []string{"0", "30", "300", "5000"} {
		if elsewhere(i) {
			continue
		}
		t.Run(mappings, func(t *testing.T) {
			// Once a stack of the parent is complete, the table exists.
			script := fmt.Sprintf(`config = { user_stack = dwarf } uprobe:%s:mark {
				if (arg0 == 0) { if (len(ustack) > 3) { @whole = 1; } }
				else if (@whole) { @[ustack] = count(); @n++; if (@n >= 30) { exit(); } }
			}`, bin)
			r := trace(t, "--follow", "-c", bin+" "+mappings, "-e", script)
			entries := strings.Split(r.stdout, "@[")[1:]
			for _, entry := range entries {
				frames, _, _ := strings.Cut(entry, "]:")
				var got []string
				for _, line := range strings.Fields(frames) {
					fun, _, _ := strings.Cut(line, "+")
					got = append(got, fun)
				}
				if want := []string{"mark", "leaf", "child", "main"}; len(got) < 5 || !slices.Equal(got[:4], want) || strings.Contains(frames, "[incomplete") {
					t.Errorf("%q, want %q", got, want)
				}
			}
			if len(entries) < 30 {
				t.Errorf("%d stacks: %s\n%s", len(entries), r.stdout, r.stderr)
			}
		})
	}
}

// checkNumbered checks the stacks in the keys (number, stack) of a map. There must be one
// for each number. Each must be whole, and have the functions of want[number] in this
// order. is reports whether a line of a stack names a function.
func checkNumbered(t *testing.T, r result, want []string, is func(line, name string) bool) {
	t.Helper()
	found := make([]bool, len(want))
	for _, entry := range strings.Split(r.stdout, "@[")[1:] {
		key, _, _ := strings.Cut(entry, "]:")
		number, frames, _ := strings.Cut(key, ",")
		var n int
		fmt.Sscan(number, &n)
		at := 0
		frames = strings.ReplaceAll(frames, ", ", ",")
		names := strings.Fields(want[n])
		for _, line := range strings.Split(frames, "\n") {
			if at < len(names) && is(line, names[at]) {
				at++
			}
		}
		if at < len(names) || strings.Contains(frames, "[incomplete") {
			t.Errorf("case %d lacks %q:%s", n, names[min(at, len(names)-1)], frames)
		}
		found[n] = true
	}
	for n, ok := range found {
		if !ok {
			t.Errorf("case %d: no stack\n%s", n, r.stderr)
		}
	}
}

// TestUnwindMusl walks stacks through musl, which has neither unwind tables nor frame
// pointers. All stacks must be whole, and must have these functions in this order.
func TestUnwindMusl(t *testing.T) {
	bin := fixture(t, "musl")
	cases := []string{"mark compare sorts main", "mark thread", "mark handler raises main", "mark first onces main", "mark found searches main"}
	// When a stack through each of them is complete, all tables exist.
	r := trace(t, "--follow", "-c", bin, "-e", fmt.Sprintf(`config = { user_stack = dwarf } uprobe:%s:mark {
		if (@whole) { @[arg0, ustack] = count(); }
		if (arg0 == 0 && len(ustack) > 4) { @sorts = 1; }
		if (arg0 == 4 && len(ustack) > 4 && @sorts) { @whole = 1; @rounds++; if (@rounds > 9) { exit(); } }
	}`, bin))
	checkNumbered(t, r, cases, func(line, want string) bool {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "+")
		return name == want
	})
}
