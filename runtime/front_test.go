package runtime

import (
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/tests/testkit"
)

// onCPU is the flag of BPF_PROG_TEST_RUN that runs a raw tracepoint program on a
// given CPU.
const onCPU = 1

// fronted loads a script with one program and returns a function that runs it on a
// given CPU.
func fronted(t *testing.T, text string) (s *Instance, run func(cpu int)) {
	s = loadScript(t, text)
	return s, func(cpu int) {
		for name := range s.progs {
			if err := runOn(s, name, cpu); err != nil {
				t.Error(err)
			}
		}
	}
}

// onAllCPUs calls do for all CPUs at once, each call on the CPU itself. A thread
// that runs a program on another CPU waits for it, and meanwhile its own CPU runs
// no program.
func (s *Instance) onAllCPUs(t *testing.T, do func(cpu int)) {
	var wg sync.WaitGroup
	for cpu := range s.ncpu {
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
			var set unix.CPUSet
			set.Set(cpu)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				t.Log(err) // the CPU may be offline; then the program does not run
			}
			do(cpu)
		})
	}
	wg.Wait()
}

// runOn runs a program on the given CPU.
func runOn(s *Instance, name string, cpu int) error {
	_, err := s.progs[name].Run(&ebpf.RunOptions{Flags: onCPU, CPU: uint32(cpu)})
	return err
}

// loadScript loads a script without attaching it.
func loadScript(t *testing.T, text string) *Instance {
	t.Helper()
	sink := output.NewText(output.NewWriter(io.Discard, output.None), io.Discard, output.Style{})
	return loadScriptWith(t, text, codegen.Request{}, Setup{Sink: sink, Stderr: io.Discard})
}

// loadScriptWith is loadScript for a request, whose kernel and settings it adds, and a
// setup.
func loadScriptWith(t *testing.T, text string, req codegen.Request, opt Setup) *Instance {
	t.Helper()
	testkit.NeedRoot(t)
	k := kernel.Live()
	for _, f := range []probes.Feature{probes.FeatAtomicFetch, probes.FeatLoop} {
		if !k.Has(f) {
			t.Skip(probes.Needs(k, "this test", f))
		}
	}
	diags := &source.Diags{}
	req.Env = &probes.Env{Kernel: k, NoFeature: map[string]bool{"raw_syscalls": true}}
	req.Invocation = &builtins.Invocation{}
	req.Config = func(p *ast.Program, diags *source.Diags) *config.Config {
		cfg := lang.Configure(p, nil, diags)
		cfg.MaxStrlen = 64
		return cfg
	}
	obj, err := codegen.Compile(source.NewFile("stdin", text), req, diags)
	if err == nil {
		err = diags.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(obj, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// numbers returns a map's values, or the low words of its sums, by their encoded
// keys.
func (s *Instance) numbers(t *testing.T, name string) map[string]uint64 {
	t.Helper()
	m, err := s.mapByName(name)
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := s.readers[m].Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, p := range pairs {
		if _, twice := got[string(p.Key)]; twice {
			t.Fatalf("%s has the key %x twice", name, p.Key)
		}
		got[string(p.Key)] = native.Uint(p.Value[:min(m.Value.Size, 8)])
	}
	return got
}

// want checks that a map has the given number of entries, and that their values are
// at least 1 each and add up to sum.
func (s *Instance) want(t *testing.T, when, name string, entries int, sum uint64) {
	t.Helper()
	got, total := s.numbers(t, name), uint64(0)
	for key, n := range got {
		total += n
		if n == 0 && sum != 0 {
			t.Errorf("%s: %s[%x] is 0", when, name, key)
		}
	}
	if len(got) != entries || total != sum {
		t.Errorf("%s: %s has %d entries with a sum of %d, want %d and %d", when, name, len(got), total, entries, sum)
	}
}

// TestFront runs a program on all CPUs at once. Its maps have more keys than their
// front tables have slots, and keys of several sizes.
func TestFront(t *testing.T) {
	s, run := fronted(t, `begin { for ($i : 0..3000) {
		@all[$i] = count(); @few[$i % 10] = sum(2); @small[(uint8)$i] = count();
		@pair[$i % 40, $i % 7] = count(); @int[$i]++; @int[$i] += 2; @down[$i % 5]--;
	} }`)
	for _, name := range []string{"@all", "@few", "@small", "@pair", "@int", "@down"} {
		if m, err := s.mapByName(name); err != nil || m.Store != "front" {
			t.Fatalf("%s has no front (%v)", name, err)
		}
	}
	const rounds = 20
	s.onAllCPUs(t, func(cpu int) {
		for range rounds {
			run(cpu)
		}
	})
	runs := uint64(rounds * s.ncpu)
	s.want(t, "at first", "@all", 3000, 3000*runs)
	s.want(t, "at first", "@few", 10, 6000*runs)
	s.want(t, "at first", "@small", 256, 3000*runs)
	s.want(t, "at first", "@pair", 280, 3000*runs)
	s.want(t, "at first", "@int", 3000, 9000*runs)
	s.want(t, "at first", "@down", 5, -(3000 * runs))
}

// TestFrontCleared checks that clear and zero also empty a front table, and that
// counting starts from zero again.
func TestFrontCleared(t *testing.T) {
	s, run := fronted(t, `begin { for ($i : 0..3000) { @c[$i % 100] = count(); @n[$i % 2000]++; } }`)
	names := []string{"@c", "@n"}
	for round := range 3 {
		run(round % s.ncpu)
		s.want(t, "after a run", "@c", 100, 3000)
		s.want(t, "after a run", "@n", 2000, 3000)
		for _, name := range names {
			m, _ := s.mapByName(name)
			if err := s.readers[m].Clear(); err != nil {
				t.Fatal(err)
			}
			s.want(t, "cleared", name, 0, 0)
		}
	}
	run(0)
	for _, name := range names {
		m, _ := s.mapByName(name)
		if err := s.readers[m].Zero(); err != nil {
			t.Fatal(err)
		}
	}
	s.want(t, "zeroed", "@c", 100, 0)
	s.want(t, "zeroed", "@n", 2000, 0)
	run(0)
	s.want(t, "after zero", "@c", 100, 3000)
	s.want(t, "after zero", "@n", 2000, 3000)
}

// TestFrontFull checks that a map never has more entries than its limit, whatever
// its front table holds.
func TestFrontFull(t *testing.T) {
	s, run := fronted(t, `let @few = hash(8); begin { for ($i : 0..100) { @few[$i]++; } }`)
	run(0)
	run(0)
	s.want(t, "full", "@few", 8, 16)
	full := slices.IndexFunc(s.obj.Sites, func(site object.Site) bool { return site.Kind == object.MapFull })
	var n [8]byte
	if _, err := s.sites.mem.ReadAt(n[:], int64(8*full)); err != nil {
		t.Fatal(err)
	}
	if n := binary.NativeEndian.Uint64(n[:]); n != 2*92 {
		t.Errorf("%d additions found no room, want 184", n)
	}
}

// TestReadStopped checks that the values of a map that is not read to its end are whole.
func TestReadStopped(t *testing.T) {
	for _, c := range []struct {
		kept, decl, expr string
		stops            bool
	}{
		{"front", "percpuhash", "@[$i] = count(); @[$i % 10] = count(); @[99999 + $i % 5] = count()", true},
		{"front", "percpuhash", "@[$i] = hist($i)", true},
		{"hash", "hash", "@[$i] = $i", true},
		{"parted", "percpuhash", "@[$i % 5000] = tseries($i, 1s, 3000)", false},
	} {
		t.Run(c.kept, func(t *testing.T) {
			s, run := fronted(t, "let @ = "+c.decl+"(10000); begin { for ($i : 0..9000) { "+c.expr+"; } }")
			for cpu := range s.ncpu {
				run(cpu)
			}
			m, err := s.mapByName("@")
			if err != nil || m.Store != c.kept {
				t.Fatalf("kept %s (%v)", m.Store, err)
			}
			all, err := s.readers[m].Read(nil)
			if err != nil {
				t.Fatal(err)
			}
			whole := map[string]string{}
			for _, e := range all {
				whole[string(e.Key)] = string(e.Value)
			}
			some, err := s.readers[m].Read(func(int) bool { return true })
			if c.stops != (err == store.ErrStopped) || c.stops != (len(some) < len(all)) || len(some) == 0 {
				t.Errorf("%d of %d entries (%v)", len(some), len(all), err)
			}
			for _, e := range some {
				if whole[string(e.Key)] != string(e.Value) {
					t.Fatalf("@[%x] is not whole", e.Key)
				}
				delete(whole, string(e.Key))
			}
		})
	}
}
